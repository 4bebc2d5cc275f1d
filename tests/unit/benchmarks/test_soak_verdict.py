"""The soak's judge: a missing, a doubled and a wrongly excused update are each seen."""

from __future__ import annotations

from dataclasses import replace

from datapath.soak_verdict import Outcome, Told, judge
from ownership.verdict import Gap, Window, Written

CL = 1
ALL = Window(0, 10_000)
OPEN = [(0, 10_000)]
TIMES = [1000, 2000, 3000, 4000, 5000]


def records(*times: int, after: int = 0) -> list[Written]:
    return [
        Written(CL, 3, after + n, time, 1, "w-0", time, (1 << 32) + after + n) for n, time in enumerate(times, start=1)
    ]


def gap(begin: int | None, end: int | None, cause: str = "lost connection") -> Told:
    return Told(Gap(CL, begin, end), cause)


def judged(written: list[Written], *told: Told) -> Outcome:
    return judge({CL: TIMES}, {CL: written}, told, ALL, OPEN)


def test_all_once_is_clean() -> None:
    found = judged(records(*TIMES))
    assert found.clean
    assert (found.expected, found.missing) == (5, 0)


def test_nothing_expected_proves_nothing() -> None:
    assert not judge({}, {}, [], ALL, OPEN).clean


def test_an_update_that_is_missing_without_a_gap_is_lost() -> None:
    found = judged(records(1000, 2000, 4000, 5000))
    assert found.lost == 1
    assert not found.clean


def test_a_gap_excuses_what_lies_between_its_bounds() -> None:
    found = judged(records(1000, 2000, 4000, 5000), gap(2000, 4000))
    assert found.clean
    assert (found.missing, found.lost) == (1, 0)


def test_a_gap_does_not_excuse_what_lies_beside_it() -> None:
    assert judged(records(1000, 2000, 5000), gap(2000, 4000)).lost == 1


def test_a_gap_that_is_wider_than_the_hole_is_no_excuse() -> None:
    found = judged(records(1000, 2000, 4000, 5000), gap(1000, 5000))
    assert found.inexact == 1
    assert not found.clean


def test_a_gap_of_unknown_beginning_excuses_nothing() -> None:
    found = judged(records(1000, 2000, 4000, 5000), gap(None, 4000))
    assert (found.lost, found.unbounded) == (1, 1)
    assert not found.clean


def test_a_doubled_update_is_seen() -> None:
    found = judged([*records(*TIMES), *records(5000, after=5)])
    assert found.duplicated == 1
    assert not found.clean


def test_a_record_that_nobody_sent_is_seen() -> None:
    assert judged(records(*TIMES, 5500)).unknown == 1


def test_a_record_of_an_epoch_that_was_over_is_seen() -> None:
    written = records(*TIMES)
    written[2] = replace(written[2], epoch=2)
    assert not judged(written).clean


def test_the_share_of_gaps_counts_only_time_in_which_the_market_was_open() -> None:
    told = [gap(1000, 3000, "a"), gap(4000, 9000, "b")]
    found = judge({CL: TIMES}, {CL: records(*TIMES)}, told, ALL, [(0, 2000), (8000, 10_000)])
    assert found.gap_share == {"a": 0.25, "b": 0.25}
    assert found.longest_gap_s == {"a": 1.0, "b": 1.0}
    assert found.gaps == {"a": 1, "b": 1}


def test_gaps_in_which_nothing_is_missing_are_told() -> None:
    told = [gap(1000, 2000, "a"), gap(2000, 4000, "a"), gap(4000, 5000, "b")]
    found = judged(records(1000, 2000, 4000, 5000), *told)
    assert found.clean
    assert found.empty_gaps == {"a": 1, "b": 1}
