"""A worker for which a session's life, and all that depends on it, is a matter of seconds; the rest of it is the same.

It changes the durations of the schedule before the worker starts, as no setting can.
"""

from __future__ import annotations

import os
from datetime import timedelta

from ibfeed_worker.main import main
from ibfeed_worker.session import schedule

if __name__ == "__main__":
    life = timedelta(seconds=float(os.environ["SESSION_SECONDS"]))
    none = timedelta()
    from quick_forms import hurry  # beside this file

    hurry()
    vars(schedule).update(LONGEST=life, LEAD=life / 2, MARGIN=none, _NARROW=none, _YOUNGEST=none)
    raise SystemExit(main())
