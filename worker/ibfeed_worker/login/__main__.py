"""``python -m ibfeed_worker.login``: an Order as JSON on stdin, Results on stdout, one a line. The last one counts.

After a Result with ``typed`` it waits for a second line on stdin, which is leave to send the form. Nothing goes
anywhere else.
"""

from __future__ import annotations

import sys

import msgspec

from ibfeed_worker.login.page import Order, Result
from ibfeed_worker.runtime.processes import adopt_orphans, harden


def main() -> int:
    harden()
    adopt_orphans()  # Chromium's helpers outlive their parents for a moment; our killer finds them below us
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)

    from ibfeed_worker.login.browser import log_in  # selenium takes a while to load: read the order first

    _tell(log_in(order, _tell, _may_submit))
    return 0


def _may_submit() -> bool:
    return bool(sys.stdin.buffer.readline())


def _tell(result: Result) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")
    sys.stdout.buffer.flush()


raise SystemExit(main())
