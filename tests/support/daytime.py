"""IB's nights and weekends, in which refusals say nothing of an account: tests of refusals run at any hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from ibfeed_api.feed import Region
from ibfeed_worker.session import schedule


def stay() -> None:
    """From now on it is noon of a day without maintenance in each region, for this process."""
    now = datetime.now(UTC)
    noon = timezone(timedelta(hours=12 - now.hour, minutes=-now.minute))
    vars(schedule).update(_ZONES=dict.fromkeys(Region, noon), _MAINTENANCE=())


def quiet_region() -> str:
    """One whose own night is not now, for workers that run as they are."""
    now = datetime.now(UTC)
    return next(
        region.value for region in Region if schedule.reset_window(region, now).begins - now > timedelta(hours=1)
    )


def is_maintenance() -> bool:
    """Whether it is IB's weekend, which no region is spared."""
    return schedule.refuses_all(Region(quiet_region()), datetime.now(UTC)) is not None
