from __future__ import annotations

from collections import Counter

from datapath.faultrows import NO_FAULTS, ROWS
from ibfeed_simulator.venue.faults import CATALOGUE, FOR_ALL_ONLY


def test_every_fault_of_the_simulator_has_a_row() -> None:
    tried = {fault.name for row in ROWS for fault in row.faults}
    assert tried == set(CATALOGUE) - NO_FAULTS


def test_every_row_has_a_name_of_its_own() -> None:
    assert max(Counter(row.name for row in ROWS).values()) == 1


def test_what_is_of_everybody_is_set_for_everybody() -> None:
    assert all(fault.whole for row in ROWS for fault in row.faults if fault.name in FOR_ALL_ONLY)
