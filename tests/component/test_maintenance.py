"""Hours of IB maintenance with right passwords, in virtual time: what the benchmark does for three days."""

from __future__ import annotations

import pytest

from datapath import maintenance


@pytest.mark.parametrize(
    ("kind", "minutes"), [("logins_lead_to_nothing", 15), ("unavailable", 15), ("page_refuses", 50)]
)
def test_maintenance_parks_nobody_and_is_survived(kind: str, minutes: float) -> None:
    found = maintenance.simulate(lambda _: None, kind, 2.5)
    assert found["accounts_parked"] == 0, found
    assert found["logins_in_a_day"] <= 10, found
    assert found["streaming_after_min"] is not None, found
    assert found["streaming_after_min"] <= minutes, found
