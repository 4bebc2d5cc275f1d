"""The judge of a window's records: each way to be wrong is seen, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datapath.verdict import Written, faults_of, median, ratio_of_medians

CL = 7
TICKS = [Written(3, seq, 1000 + 500 * seq, f"{seq}.00") for seq in range(1, 5)]
LAST = {CL: (3000, "4.00")}


def test_all_of_it_once_in_order_is_clean() -> None:
    assert faults_of({CL: TICKS}, LAST, 4) == []


@pytest.mark.parametrize(
    ("ticks", "says"),
    [
        ([TICKS[0], *TICKS[2:]], "seq has holes"),
        ([*TICKS, TICKS[-1]], "seq has holes"),
        (TICKS[:-1], "last update is not the last record"),
        ([*TICKS[:-1], replace(TICKS[-1], price="5.00")], "last update is not the last record"),
        ([TICKS[0], replace(TICKS[1], event_time=1), *TICKS[2:]], "event time"),
        ([replace(TICKS[0], partition=1), *TICKS[1:]], "more than one partition"),
        ([], "last update is not the last record"),
    ],
)
def test_what_is_wrong_is_named(ticks: list[Written], says: str) -> None:
    assert any(says in fault for fault in faults_of({CL: ticks}, LAST, len(ticks)))


def test_acknowledged_records_have_to_be_there() -> None:
    assert faults_of({CL: TICKS}, LAST, 5) == ["5 records were acknowledged and 4 are there"]


def test_medians() -> None:
    assert median([3, 1, 2]) == 2
    assert median([4, 1, 2, 3]) == 2.5
    assert ratio_of_medians([10, 30, 20], [5]) == 4
