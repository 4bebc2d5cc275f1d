"""A worker in daytime whose sessions, and all that depends on their life, last seconds.

This program changes the schedule's durations before the worker starts, because no setting can.
"""

from __future__ import annotations

import os
from datetime import timedelta

from ibfeed_worker.main import main
from ibfeed_worker.session import schedule

if __name__ == "__main__":
    life = timedelta(seconds=float(os.environ["SESSION_SECONDS"]))
    none = timedelta()
    import daytime  # beside this file
    from quick_forms import hurry

    daytime.stay()
    hurry()
    vars(schedule).update(LONGEST=life, LEAD=life / 2, MARGIN=none, _NARROW=none, _YOUNGEST=none)
    raise SystemExit(main())
