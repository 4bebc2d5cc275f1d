"""``python -m ibfeed_worker``."""

from __future__ import annotations

from ibfeed_worker.main import main

if __name__ == "__main__":
    raise SystemExit(main())
