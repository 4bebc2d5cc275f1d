"""``python -m ibfeed_worker.login``: an Order as JSON on stdin, its Result as JSON on stdout, nothing anywhere else."""

from __future__ import annotations

import sys

import msgspec

from ibfeed_worker.login.page import Order
from ibfeed_worker.processes import adopt_orphans, harden


def main() -> int:
    harden()
    adopt_orphans()  # Chromium's helpers outlive their parents for a moment; whoever ends us finds them below us
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)

    from ibfeed_worker.login.browser import log_in  # selenium takes a while to load: not before the order is safe

    sys.stdout.buffer.write(msgspec.json.encode(log_in(order)))
    return 0


raise SystemExit(main())
