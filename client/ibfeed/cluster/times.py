"""Times of Kubernetes objects, and how a person reads them. No I/O."""

from __future__ import annotations

import datetime as dt
from typing import Final

# Epochs are seconds since 1970 from this number on. Earlier ones counted assignments.
CLOCKED: Final = 1_600_000_000
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def moment(text: str | None) -> dt.datetime | None:
    """Return a time of the API, such as ``2026-11-27T08:00:00Z``; None: there is none, or it makes no sense."""
    try:
        found = dt.datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=dt.UTC) if found is not None and found.tzinfo is None else found


def since_of(epoch: int) -> dt.datetime | None:
    """Return when an epoch was given, which its number tells; None: it is of an old kind that does not."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC) if CLOCKED <= epoch < 2**32 else None


def span(length: dt.timedelta) -> str:
    """Return a length of time for a person: ``4.2 s``, ``17 min``, ``3 h``, ``2 d``."""
    seconds = max(0.0, length.total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.1f} s"


def utc(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
