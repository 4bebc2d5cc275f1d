"""A worker that waits one second before it sends the login form instead of five; the rest of it is the same.

It changes the wait before the worker starts, as no setting can.
"""

from __future__ import annotations

from typing import Final

from ibfeed_worker.account import record
from ibfeed_worker.main import main

SUBMIT_WAIT_S: Final = 1.0


def hurry() -> None:
    vars(record)["SUBMIT_WAIT_S"] = SUBMIT_WAIT_S


if __name__ == "__main__":
    hurry()
    raise SystemExit(main())
