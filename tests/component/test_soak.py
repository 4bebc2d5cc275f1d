"""The soak's world in short: real Kafka, workers, operator and venue in virtual time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from datapath import soak
from datapath.week import START, Fault, Happening


def test_an_hour_of_maintenance_is_survived_without_a_storm_of_logins(monkeypatch: pytest.MonkeyPatch) -> None:
    """IB ends the sessions and takes logins, but serves nothing: who logs in for nothing does so ever more rarely."""
    maintenance = (Fault("expire_sso"), Fault("maintenance", seconds=3600))
    faults = [
        Happening(START + timedelta(minutes=10), "websocket closed", (Fault("drop_websocket", 0),)),
        Happening(START + timedelta(minutes=15), "maintenance", maintenance),
    ]
    monkeypatch.setattr(soak, "happenings", lambda *_: faults)
    found = soak.measure(lambda _: None, 1.6)
    assert found["soak_hours_simulated"] == 1.6, found["soak"]
    assert found["soak"]["missing"], "nothing was missed, so no gap was needed"
    assert found["soak"]["gaps"]
    assert found["soak"]["logins"] <= 36


def test_the_contracts_of_an_account_whose_feed_is_dead_go_to_the_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is what the worker needs to find out, as long as another worker hears IB."""
    faults = [Happening(START + timedelta(minutes=40), "dead feed", (Fault("silent_feed", 1, seconds=900),))]
    monkeypatch.setattr(soak, "happenings", lambda *_: faults)
    found = soak.measure(lambda _: None, 1.2)
    assert found["soak_hours_simulated"] == 1.2, found["soak"]
    assert found["soak"]["sessions"]["Reconnecting FeedSilent"], found["soak"]
    assert 60 < max(found["soak"]["longest_gap_s"].values()) < 180, found["soak"]


def test_contracts_stay_where_they_are_while_ib_sends_nothing_to_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = START + timedelta(minutes=40)
    faults = [
        Happening(dead, "one feed dies", (Fault("silent_feed", 0, seconds=1800),)),
        Happening(dead + timedelta(seconds=30), "so does the other", (Fault("silent_feed", 1, seconds=1800),)),
    ]
    monkeypatch.setattr(soak, "happenings", lambda *_: faults)
    found = soak.measure(lambda _: None, 1.6)
    assert found["soak_hours_simulated"] == 1.6, found["soak"]
    assert found["soak"]["sessions"]["Reconnecting FeedSilent"], found["soak"]
    assert found["soak"]["moves"] == 0, found["soak"]
