"""A worker in daytime that waits one second, not five, before it sends the login form.

This program changes both before the worker starts, because no setting can.
"""

from __future__ import annotations

from typing import Final

from ibfeed_worker.account import login_record
from ibfeed_worker.main import main

SUBMIT_WAIT_S: Final = 1.0


def hurry() -> None:
    vars(login_record)["SUBMIT_WAIT_S"] = SUBMIT_WAIT_S


if __name__ == "__main__":
    import daytime  # beside this file

    daytime.stay()
    hurry()
    raise SystemExit(main())
