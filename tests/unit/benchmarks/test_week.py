"""The simulated week holds what it must: resets, a maintenance, an expiry, and each fault more than once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from datapath.week import KAFKA_AWAY, START, happenings
from ibfeed_simulator.market.contracts import listed
from ibfeed_simulator.venue.faults import Action, Condition

WEEK = happenings(START, timedelta(hours=168))


def test_they_come_in_order_and_leave_time_at_both_ends() -> None:
    moments = [one.at for one in WEEK]
    assert moments == sorted(moments)
    assert moments[0] >= START + timedelta(minutes=30)
    assert moments[-1] <= START + timedelta(hours=167.5)


def test_each_day_has_its_reset_and_the_saturday_its_maintenance() -> None:
    count = Counter(one.what for one in WEEK)
    assert count["daily reset"] == 7
    assert count["Saturday's maintenance, 2 h"] == 1
    assert min(count[what] for what in count if "Saturday" not in what) >= 2


def test_every_fault_is_one_that_the_venue_knows() -> None:
    known = {*Action, *Condition, KAFKA_AWAY}
    assert {fault.name for one in WEEK for fault in one.faults} <= known


def test_a_contract_expires_within_the_week() -> None:
    front = listed("CL", START.date())[0]
    assert START.date() < front.last_trading_day < (START + timedelta(hours=160)).date()
