"""The Lease of an account, by which operators and workers agree on its holder.

A holder renews every 3 s. After 8 s without a renewal it fences itself. After 10 s without a change of the Lease,
counted by the observer's own clock, another worker may take it over. The 2 s between are for clocks that run
unevenly and for a request that is on its way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

RENEW_S: Final = 3.0
SELF_FENCE_S: Final = 8.0
TAKEOVER_S: Final = 10.0


def holder_of(pod: str, uid: str) -> str:
    """Return a worker's ``spec.holderIdentity``. A pod that is made again under its name is another holder."""
    return f"{pod}_{uid}"


def pod_of(holder: str) -> str:
    """Return the name of the holder's pod. A holder of another form is returned as it is."""
    return holder.rsplit("_", 1)[0]


def micro_time(now: datetime) -> str:
    """Return a Kubernetes MicroTime, the form of a Lease's times."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
