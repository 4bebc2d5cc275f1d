"""Leases, looked at until their holders have renewed them: so it shows who is alive, without trust in any clock."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection
from typing import Final

from ibfeed.cluster import Cluster
from ibfeed.doctor.facts import WatchedLease
from ibfeed.doctor.seen import SeenLease

_WATCH_S: Final = 5.0  # a holder renews every 2 or 3 s
_EVERY_S: Final = 0.7


def watched(cluster: Cluster, look: Callable[[], Collection[SeenLease]]) -> tuple[WatchedLease, ...]:
    """Return Leases as they were when their holder had renewed them, or after ``_WATCH_S`` if it did not.

    Args:
        cluster: asked for its time.
        look: reads the Leases.
    """
    # The API server cuts its time to whole seconds.
    ahead = cluster.time() + dt.timedelta(seconds=0.5) - dt.datetime.now(dt.UTC)
    first = {lease.name: lease for lease in look()}
    found: dict[str, WatchedLease] = {}
    deadline = time.monotonic() + _WATCH_S
    while True:
        time.sleep(_EVERY_S)
        now = dt.datetime.now(dt.UTC) + ahead
        for lease in look():
            before = found.get(lease.name)
            if before is None or not before.renewed:
                found[lease.name] = WatchedLease(lease, first.get(lease.name), now)
        waiting = [one for one in found.values() if one.lease.holder and not one.renewed]
        if not waiting or time.monotonic() > deadline:
            return tuple(found.values())
