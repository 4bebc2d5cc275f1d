"""IB's resets and maintenance: at which moments they go on, over summer time and weekends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ibfeed_api.feed import Region
from ibfeed_api.ib_calendar import SERVERS, SESSIONS, WEEKEND, closure_at, closures, refuses_all
from ibfeed_api.ib_times import main, table


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("2026-11-18T15:00", None),  # a Wednesday
        ("2026-11-18T05:30", "2026-11-18T06:15"),  # the nightly reset, in New York
        ("2026-11-21T03:59", None),
        ("2026-11-21T04:00", "2026-11-21T08:00"),  # Friday, 23:00 in New York
        ("2026-11-21T08:00", None),
        ("2026-11-21T22:59", None),
        ("2026-11-21T23:00", "2026-11-22T08:00"),  # Saturday, 18:00
        ("2026-11-22T05:30", "2026-11-22T08:00"),  # the reset lies within
        ("2026-11-22T07:59", "2026-11-22T08:00"),
        ("2026-11-22T08:00", None),
        ("2026-07-18T22:00", "2026-07-19T07:00"),  # summer time
    ],
)
def test_when_ib_refuses_all_by_its_own_schedule(moment: str, ends: str | None) -> None:
    found = refuses_all(Region.AMERICA, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (found and found.ends) == (datetime.fromisoformat(ends).replace(tzinfo=UTC) if ends else None)


def test_the_weekend_is_one_for_all_regions_and_the_night_is_not() -> None:
    saturday, night = datetime(2026, 11, 22, 2, tzinfo=UTC), datetime(2026, 11, 18, 23, tzinfo=UTC)
    assert all(refuses_all(region, saturday) for region in Region)
    assert [region for region in Region if refuses_all(region, night)] == [Region.EUROPE]


@pytest.mark.parametrize(
    ("moment", "region", "what"),
    [
        ("2026-11-18T15:00", Region.AMERICA, None),  # a Wednesday
        ("2026-11-18T05:10", Region.AMERICA, SESSIONS),  # 00:10 in New York
        ("2026-11-18T06:30", Region.AMERICA, SERVERS),  # 01:30
        ("2026-11-18T06:45", Region.AMERICA, None),
        ("2026-11-18T05:30", Region.EUROPE, SERVERS),  # 06:30 in Zurich
        ("2026-11-18T12:30", Region.ASIA, SERVERS),  # 20:30 in Hong Kong
        ("2026-11-21T05:30", Region.ASIA, WEEKEND),  # Saturday, 00:30 in New York
        ("2026-11-21T12:30", Region.ASIA, None),  # no second reset on a Saturday
    ],
)
def test_what_ib_has_published_for_a_moment(moment: str, region: Region, what: str | None) -> None:
    found = closure_at(region, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (found and found.what) == what


def test_a_closure_is_told_in_utc_and_in_the_zone_of_ib() -> None:
    found = closure_at(Region.EUROPE, datetime(2026, 11, 21, 5, tzinfo=UTC))
    assert found is not None
    assert found.text == "IB's weekend maintenance goes on until 08:00 UTC (03:00 EST)"


def test_a_week_is_listed_in_utc_and_in_the_zone_that_is_asked_for() -> None:
    told = table(Region.EUROPE, datetime(2026, 11, 18, 12, tzinfo=UTC), ZoneInfo("America/Chicago")).splitlines()
    assert told[0] == (
        "Wed 2026-11-18 22:45 to Thu 00:15 UTC   Wed 2026-11-18 16:45 to Wed 18:15 CST   daily reset of sessions"
    )
    kinds = [line.rpartition("   ")[2] for line in told]
    assert {kind: kinds.count(kind) for kind in kinds} == {SESSIONS: 7, SERVERS: 6, WEEKEND: 2}


@pytest.mark.parametrize("region", list(Region))
def test_the_list_has_what_goes_on_at_each_moment(region: Region) -> None:
    begin = datetime(2026, 10, 28, tzinfo=UTC)  # Europe has left summer time, New York leaves it within the week
    listed = closures(region, begin, begin + timedelta(days=7))
    for minutes in range(0, 7 * 24 * 60, 5):
        moment = begin + timedelta(minutes=minutes)
        assert (closure_at(region, moment) is not None) == any(moment in closure for closure in listed)


def test_an_unknown_zone_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--zone", "Chicago"]) == 2
    assert "there is no time zone Chicago" in capsys.readouterr().err
