"""The soak's world in short: real Kafka, workers, operator and venue in virtual time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from worker import soak
from worker.week import START, Fault, Happening


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
