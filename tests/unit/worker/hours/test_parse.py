"""IB's answers about trading hours, as documented and as they may come."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_worker.hours.parse import HoursError, of_contract, of_venue

# IB's own example: Thursday and Friday, then Monday; each session opens the evening before.
COMING_DAYS: dict[str, Any] = {
    "exchange_time_zone": "US/Central",
    "schedules": {
        "20251218": {
            "extended_hours": [{"cancel_daily_orders": True, "closing": 1766095200, "opening": 1766012400}],
            "liquid_hours": [{"closing": 1766095200, "opening": 1766068200}],
        },
        "20251219": {
            "extended_hours": [{"cancel_daily_orders": True, "closing": 1766181600, "opening": 1766098800}],
            "liquid_hours": [{"closing": 1766181600, "opening": 1766154600}],
        },
        "20251222": {
            "extended_hours": [{"cancel_daily_orders": True, "closing": 1766440800, "opening": 1766358000}],
            "liquid_hours": [{"closing": 1766440800, "opening": 1766413800}],
        },
    },
}
TIMES = {"openingTime": "1700", "closingTime": "1600", "cancelDayOrders": "Y"}


def weekday(day: str, *times: dict[str, str]) -> dict[str, Any]:
    return {"clearingCycleEndTime": "1600", "tradingScheduleDate": day, "sessions": [], "tradingtimes": list(times)}


WEEK = [
    {
        "id": "p102082",
        "tradeVenueId": "v13133",
        "timezone": "America/Chicago",
        "schedules": [
            weekday("20000101"),
            weekday("20000102"),
            *(weekday(f"2000010{day}", TIMES) for day in range(3, 8)),
            weekday("20261126", {"openingTime": "1700", "closingTime": "1200", "cancelDayOrders": "Y"}),
            weekday("20261127"),
        ],
    }
]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2025-12-18T22:30", None),  # the hour's break
        ("2025-12-18T12:00", "2025-12-17T23:00"),
        ("2025-12-18T23:00", "2025-12-18T23:00"),
        ("2025-12-19T21:59", "2025-12-18T23:00"),
        ("2025-12-19T22:00", None),
        ("2025-12-20T12:00", None),  # Saturday
        ("2025-12-21T23:00", "2025-12-21T23:00"),
        ("2025-12-23T12:00", None),
    ],
)
def test_the_coming_days_as_ib_documents_them(moment: str, opening: str | None) -> None:
    found = of_contract(COMING_DAYS).open_since(at(moment))
    assert found == (None if opening is None else at(opening))


def test_beyond_the_days_that_are_named_nothing_is_known() -> None:
    hours = of_contract(COMING_DAYS)
    assert hours.knows(at("2025-12-20T12:00"))
    assert not hours.knows(at("2025-12-23T12:00"))
    assert not hours.knows(at("2025-12-17T12:00"))


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-11-23T12:00", "2026-11-22T23:00"),  # Monday; Chicago is six hours behind
        ("2026-11-21T12:00", None),
        ("2026-11-22T22:59", None),
        ("2026-11-26T17:59", "2026-11-25T23:00"),
        ("2026-11-26T18:00", None),  # Thanksgiving closes at noon, and the next day has no session
        ("2026-11-27T15:00", None),
        ("2026-11-29T23:00", "2026-11-29T23:00"),
    ],
)
def test_weekdays_hold_unless_a_date_overrides_them(moment: str, opening: str | None) -> None:
    found = of_venue(WEEK, "CME", date(2026, 11, 23)).open_since(at(moment))
    assert found == (None if opening is None else at(opening))


CLOSED = {"openingTime": "0000", "closingTime": "0000", "cancelDayOrders": "N"}


def test_a_day_written_0000_to_0000_is_closed() -> None:
    """As IB was recorded to write Saturdays, Sundays and a holiday of NASDAQ."""
    times = {"openingTime": "0930", "closingTime": "1600", "prop": "LIQUID", "cancelDayOrders": "Y"}
    days = [weekday("20000101", CLOSED), weekday("20000102", CLOSED)]
    days += [weekday(f"2000010{day}", times) for day in range(3, 8)]
    venue = {"timezone": "America/New_York", "schedules": [*days, weekday("20261126", CLOSED)]}
    hours = of_venue([venue], "ISLAND", date(2026, 11, 20))
    for closed in ("2026-11-21T12:00", "2026-11-22T01:00", "2026-11-22T18:00", "2026-11-23T04:00", "2026-11-26T18:00"):
        assert hours.open_since(at(closed)) is None, closed
    assert hours.open_since(at("2026-11-23T15:00")) == at("2026-11-23T14:30")
    assert hours.open_since(at("2026-11-27T15:00")) == at("2026-11-27T14:30")


def test_a_contract_that_opens_and_closes_at_once_is_closed() -> None:
    day = {"extended_hours": [{"opening": 1766012400, "closing": 1766012400}]}
    found = of_contract({"schedules": {**COMING_DAYS["schedules"], "20251220": day}})
    assert found == of_contract(COMING_DAYS)


def night(day: str, *, first: bool = True) -> dict[str, Any]:
    """A day of HKFE. IB counts the session of a night to the trading day that follows."""
    spans = [("0915", "1200"), ("1300", "1630")]
    spans = [("1715", "0300"), *spans] if first else [*spans, ("1715", "0300")]
    return weekday(day, *({"openingTime": a, "closingTime": b, "cancelDayOrders": "Y"} for a, b in spans))


def hong_kong(*dated: dict[str, Any], first: bool = True, zone: str = "Asia/Hong_Kong") -> dict[str, Any]:
    days = [weekday("20000101", CLOSED), weekday("20000102", CLOSED)]
    days += [night(f"2000010{day}", first=first) for day in range(3, 8)]
    return {"timezone": zone, "schedules": [*days, *dated]}


@pytest.mark.parametrize("zone", ["Asia/Hong_Kong", "Hongkong"])
@pytest.mark.parametrize("first", [True, False])
def test_the_night_of_friday_is_open_and_that_of_sunday_not(first: bool, zone: str) -> None:
    """TWS: 20180406:1715-20180407:0100 stands after Saturday and Sunday, which are CLOSED, and before Monday's day."""
    hours = of_venue([hong_kong(first=first, zone=zone)], "HKFE", date(2026, 11, 20))
    assert hours.open_since(at("2026-11-20T18:59")) == at("2026-11-20T09:15")  # Friday, 17:15 in Hong Kong
    for closed in ("2026-11-20T19:00", "2026-11-22T10:00", "2026-11-22T18:00", "2026-11-23T00:00"):
        assert hours.open_since(at(closed)) is None, closed
    assert hours.open_since(at("2026-11-24T00:00")) is None
    assert hours.open_since(at("2026-11-23T18:00")) == at("2026-11-23T09:15")


def test_a_night_before_a_holiday_is_open_if_both_days_have_it() -> None:
    """TWS: Wednesday's night 20180404:1715-20180405:0100 counts to Friday, for Thursday was a holiday."""
    hours = of_venue([hong_kong(weekday("20261126", CLOSED))], "HKFE", date(2026, 11, 25))
    assert hours.open_since(at("2026-11-25T18:00")) == at("2026-11-25T09:15")
    for closed in ("2026-11-26T04:00", "2026-11-26T18:00", "2026-11-26T10:00"):
        assert hours.open_since(at(closed)) is None, closed


@pytest.mark.parametrize("day", ["20261125", "20261127"])
def test_a_night_that_one_of_its_two_days_lacks_is_not_judged(day: str) -> None:
    """Before some holidays Hong Kong has no night: which of the days says so is not known for sure."""
    spans = [("0915", "1200"), ("1300", "1630")]
    without = weekday(day, *({"openingTime": a, "closingTime": b} for a, b in spans))
    hours = of_venue([hong_kong(weekday("20261126", CLOSED), without)], "HKFE", date(2026, 11, 25))
    assert hours.open_since(at("2026-11-25T18:00")) is None
    assert hours.open_since(at("2026-11-24T18:00")) in (None, at("2026-11-24T09:15"))


def test_chicago_opens_its_week_on_sunday_evening() -> None:
    """CBOT's grains have a night of their own before the day, and it is Sunday's that counts to Monday."""
    spans = [{"openingTime": "1900", "closingTime": "0745"}, {"openingTime": "0830", "closingTime": "1320"}]
    days = [weekday("20000101", CLOSED), weekday("20000102", CLOSED)]
    days += [weekday(f"2000010{day}", *spans) for day in range(3, 8)]
    hours = of_venue([{"timezone": "America/Chicago", "schedules": days}], "CBOT", date(2026, 11, 21))
    assert hours.open_since(at("2026-11-23T02:00")) == at("2026-11-23T01:00")  # Sunday, 19:00 in Chicago
    assert hours.open_since(at("2026-11-21T02:00")) is None


def test_wall_times_follow_the_clock_of_the_exchange() -> None:
    week = of_venue(WEEK, "CME", date(2026, 3, 9))  # clocks went forward on 8 March
    assert week.open_since(at("2026-03-08T22:00")) == at("2026-03-08T22:00")
    before = of_venue(WEEK, "CME", date(2026, 3, 6))
    assert before.open_since(at("2026-03-06T21:59")) == at("2026-03-05T23:00")


def test_a_lunch_break_is_closed_and_sessions_that_touch_are_one() -> None:
    times = [("0900", "1130"), ("1230", "1500"), ("1500", "1515")]
    venue = {
        "timezone": "Asia/Hong_Kong",
        "schedules": [
            weekday(f"2000010{day}", *({"openingTime": a, "closingTime": b} for a, b in times)) for day in range(1, 8)
        ],
    }
    hours = of_venue([venue], "HKFE", date(2026, 11, 23))
    assert hours.open_since(at("2026-11-23T03:29")) == at("2026-11-23T01:00")
    assert hours.open_since(at("2026-11-23T03:30")) is None
    assert hours.open_since(at("2026-11-23T07:10")) == at("2026-11-23T04:30")


def test_midnight_is_written_as_2400() -> None:
    venue = {
        "timezone": "UTC",
        "schedules": [weekday(f"2000010{day}", {"openingTime": "0000", "closingTime": "2400"}) for day in range(1, 8)],
    }
    hours = of_venue([venue], "X", date(2026, 11, 23))
    assert hours.open_since(at("2026-11-23T12:00")) == at("2026-11-22T00:00")


def test_of_several_venues_that_of_the_exchange_counts() -> None:
    def venue(exchange: str, opening: str) -> dict[str, Any]:
        times = {"openingTime": opening, "closingTime": "2000"}
        days = [weekday(f"2000010{day}", times) for day in range(1, 8)]
        return {"exchange": exchange, "timezone": "UTC", "schedules": days}

    found = [venue("QBALGO", "0800"), venue("NYMEX", "1000")]
    today = date(2026, 11, 23)
    assert of_venue(found, "NYMEX", today).open_since(at("2026-11-23T12:00")) == at("2026-11-23T10:00")
    assert of_venue(found, "", today).open_since(at("2026-11-23T12:00")) == at("2026-11-23T08:00")


@pytest.mark.parametrize(
    "change",
    [
        {"opening": "soon"},
        {"opening": 1766095300},  # after the closing
        {"opening": 1766012400000},  # milliseconds
        {"closing": True},
        {"closing": 1776095200},  # months later
    ],
)
def test_times_that_make_no_sense_are_refused_rather_than_guessed(change: dict[str, Any]) -> None:
    hours = {"opening": 1766012400, "closing": 1766095200, **change}
    with pytest.raises(HoursError):
        of_contract({"schedules": {"20251218": {"extended_hours": [hours]}}})


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", None, "../etc/passwd"])
def test_a_time_zone_that_nobody_knows_is_refused(zone: str | None) -> None:
    with pytest.raises(HoursError, match="time zone"):
        of_venue([{**WEEK[0], "timezone": zone}], "CME", date(2026, 11, 23))


_NAMES = (
    *("schedules", "20251218", "extended_hours", "liquid_hours", "opening", "closing", "timezone", "exchange"),
    *("tradingScheduleDate", "tradingtimes", "sessions", "openingTime", "closingTime"),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["2400", "1700", "20000103", "UTC", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_answer_is_read_or_refused(found: Any) -> None:
    for read in (of_contract, lambda answer: of_venue(answer, "CME", date(2026, 11, 23))):
        with contextlib.suppress(HoursError):
            read(found)


@given(st.sampled_from([COMING_DAYS, WEEK]), st.data())
def test_a_changed_answer_is_read_or_refused(answer: Any, data: st.DataObject) -> None:
    text = json.dumps(answer)
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from('0123456789{}[]",:nt')) + text[place + 1 :]
    with contextlib.suppress(ValueError):
        found = json.loads(changed)
        with contextlib.suppress(HoursError):
            (of_contract(found) if answer is COMING_DAYS else of_venue(found, "CME", date(2026, 11, 23)))
