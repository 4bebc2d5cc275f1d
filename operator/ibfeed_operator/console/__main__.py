from __future__ import annotations

from ibfeed_operator.console.main import main

main()
