"""Daytime for tests. At IB's night and weekend a refusal is no evidence, but tests of refusals run at any hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from ibfeed_api import ib_calendar
from ibfeed_api.feed import Region


def stay() -> None:
    """Make it noon of a day without maintenance in each region, for this process, from now on."""
    now = datetime.now(UTC)
    noon = timezone(timedelta(hours=12 - now.hour, minutes=-now.minute))
    vars(ib_calendar).update(ZONES=dict.fromkeys(Region, noon), MAINTENANCE=())


def quiet_region() -> str:
    """Return a region whose own night is not now, for workers that run as they are."""
    now = datetime.now(UTC)
    return next(
        region.value for region in Region if ib_calendar.reset_window(region, now).begins - now > timedelta(hours=1)
    )


def is_maintenance() -> bool:
    """Whether it is IB's weekend, which meets every region."""
    return ib_calendar.refuses_all(Region(quiet_region()), datetime.now(UTC)) is not None
