"""Login slots: however many workers were lost together, IB sees one login after the other from an address.

A Lease of the account source says when the last login was allowed to begin. A worker that wants to log in puts the next
moment there by compare-and-swap, and waits for it. A single lost worker does not wait at all, the last of N for N
spacings. It is a courtesy, not a lock: times are the workers' own, and a worker that can't have a slot logs in without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ibfeed_api.backoff import Backoff
from ibfeed_api.lease import micro_time
from ibfeed_api.log import Log
from ibfeed_api.logins import LOGIN_SPACING_S
from ibfeed_worker.account.lease import LeaseStore, guarded
from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError

SPACING: Final = timedelta(seconds=LOGIN_SPACING_S)
LONGEST: Final = timedelta(minutes=10)  # 200 workers take seven; a slot beyond that came of a wrong clock
_PATIENCE_S: Final = 20.0
_log: Final = Log(__name__)


def next_slot(last: datetime | None, now: datetime) -> datetime:
    """Return when the next login may begin, if the last one may begin, or began, at ``last``."""
    if last is None or last - now > LONGEST:
        return now
    return max(now, last + SPACING)


async def reserve_slot(store: LeaseStore, name: str) -> datetime:
    """Reserve the next slot in Lease ``name``; return its moment, now or later."""
    loop = asyncio.get_running_loop()
    begun, pause = loop.time(), Backoff(0.05, 1.0, spread=0.5)
    while True:
        try:
            seen = await store.read_lease(name)
            moment = next_slot(_given(seen), datetime.now(UTC))
            version = seen["metadata"]["resourceVersion"]
            await store.patch_lease(name, guarded(version, {"renewTime": micro_time(moment)}))
            return moment
        except NotFoundError:
            return datetime.now(UTC)
        except ConflictError:
            why = "others were faster"
        except KubeError as error:
            why = str(error)
        if loop.time() - begun > _PATIENCE_S:
            _log.warning("no login slot, logging in without one", lease=name, why=why)
            return datetime.now(UTC)
        await asyncio.sleep(pause.next())


def _given(lease: Mapping[str, Any]) -> datetime | None:
    """Return the last slot given; None if there was none, or if the field is no time."""
    text = (lease.get("spec") or {}).get("renewTime")
    try:
        given = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return given if given is not None and given.tzinfo is not None else None
