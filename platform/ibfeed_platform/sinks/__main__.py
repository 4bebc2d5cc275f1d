"""``python -m ibfeed_platform.sinks``: one sink's process, as the operator's Deployment runs it."""

from __future__ import annotations

from ibfeed_platform.sinks.run import main

if __name__ == "__main__":
    main()
