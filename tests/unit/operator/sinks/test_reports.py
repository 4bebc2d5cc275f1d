"""The age of a report, by the observer's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ibfeed_operator.sinks.reports import ReportAges
from support.ibsinks import report

TOLD = datetime(2026, 11, 27, 12, 0, 10, tzinfo=UTC)  # as ``report`` says


def test_a_report_that_does_not_change_grows_old() -> None:
    ages = ReportAges().observe({"a": report()}, now=100.0, clock=TOLD)
    ages = ages.observe({"a": report()}, now=130.0, clock=TOLD + timedelta(seconds=30))
    assert ages.at(131.0) == {"a": 31.0}


def test_a_change_makes_it_new_whatever_its_clock_says() -> None:
    ages = ReportAges().observe({"a": report()}, now=100.0, clock=TOLD)
    changed = report(reported_at="2026-11-20T00:00:00.000Z")
    assert ages.observe({"a": changed}, now=130.0, clock=TOLD).at(130.0) == {"a": 0.0}


@pytest.mark.parametrize(("ahead", "age"), [(300, 300.0), (-300, 0.0)])
def test_the_first_look_goes_by_the_time_in_it(ahead: int, age: float) -> None:
    ages = ReportAges().observe({"a": report()}, now=100.0, clock=TOLD + timedelta(seconds=ahead))
    assert ages.at(100.0) == {"a": age}


def test_a_pod_that_is_gone_is_forgotten() -> None:
    ages = ReportAges().observe({"a": report()}, now=100.0, clock=TOLD)
    assert ages.observe({}, now=101.0, clock=TOLD).at(101.0) == {}
