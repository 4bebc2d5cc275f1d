from __future__ import annotations

from ibfeed_operator.main import main

main()
