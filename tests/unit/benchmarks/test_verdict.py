"""The benchmark's judge: each way to be wrong is seen, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ownership.verdict import (
    Delivery,
    Gap,
    Update,
    Window,
    Written,
    delivery,
    inexact,
    longest_silence_s,
    moves,
    next_ticks_s,
    not_growing,
    quantile,
    silences,
    unreported,
    zombies,
)

CL, NG = 1, 2
ALL = Window(0, 10_000)


def records(conid: int, *times: int, epoch: int = 1, worker: str = "w-0", after: int = 0) -> list[Written]:
    return [
        Written(conid, 3, after + n, time + 20, epoch, worker, time, (epoch << 32) + after + n)
        for n, time in enumerate(times, start=1)
    ]


def judged(times: list[int], written: list[Written], window: Window = ALL) -> Delivery:
    return delivery({CL: times}, {CL: written}, window)


def test_all_once_in_order_is_clean() -> None:
    assert judged([500, 1000], records(CL, 500, 1000)) == Delivery(2, (), (), (), ())


def test_a_missing_update_is_lost() -> None:
    assert judged([500, 1000, 1500], records(CL, 500, 1500)).lost == (Update(CL, 1000),)


def test_a_contract_without_a_single_record_is_lost_whole() -> None:
    found = delivery({CL: [500], NG: [600, 700]}, {CL: records(CL, 500)}, ALL)
    assert found.lost == (Update(NG, 600), Update(NG, 700))


def test_the_same_update_of_another_worker_is_a_duplicate() -> None:
    again = records(CL, 1000, 1500, epoch=2, worker="w-1", after=2)
    found = judged([500, 1000, 1500], records(CL, 500, 1000) + again)
    assert found.duplicated == (again[0],)
    assert not found.lost
    assert not found.disordered


def test_an_older_update_behind_a_later_one_is_out_of_order() -> None:
    written = records(CL, 500, 1500, 1000)
    assert judged([500, 1000, 1500], written).disordered == (written[2],)


def test_a_seq_that_does_not_grow_is_out_of_order() -> None:
    first, second = records(CL, 500, 1000)
    assert judged([500, 1000], [first, replace(second, seq=first.seq)]).disordered


def test_a_record_on_another_partition_is_out_of_order() -> None:
    first, second = records(CL, 500, 1000)
    assert judged([500, 1000], [first, replace(second, partition=4)]).disordered


def test_a_record_of_an_update_that_was_never_sent_is_unknown() -> None:
    assert [r.event_time for r in judged([500], records(CL, 500, 700)).unknown] == [700]


def test_what_lies_outside_of_the_window_is_not_judged() -> None:
    found = judged([500, 1000, 1500], records(CL, 1000), Window(600, 1400))
    assert found == Delivery(1, (), (), (), ())


def test_event_times_grow_strictly_or_are_named() -> None:
    written = records(CL, 500, 1000, 1000, 1500)
    assert not_growing({CL: records(CL, 500, 1000)}) == ()
    assert not_growing({CL: written}) == (written[2],)


def test_moves_are_changes_of_the_worker_not_of_the_epoch() -> None:
    same = records(CL, 500) + records(CL, 1000, epoch=2, after=1)
    other = records(NG, 500) + records(NG, 1000, epoch=2, worker="w-1") + records(NG, 1500, epoch=3)
    assert moves({CL: same, NG: other}) == 2


def test_a_zombie_is_a_record_of_an_old_epoch_behind_one_of_a_new() -> None:
    old, new = records(CL, 500, 1000), records(CL, 1500, epoch=2, after=2)
    late = records(CL, 1200, after=3)
    assert zombies({CL: old + new}) == ()
    assert zombies({CL: old + new + late}) == (late[0],)


@pytest.mark.parametrize(
    ("gap", "covered"),
    [
        (Gap(CL, 500, 1500), True),
        (Gap(CL, 500, 1000), False),  # the bounds themselves are on Kafka, or it lies
        (Gap(CL, 1000, 1500), False),
        (Gap(NG, 500, 1500), False),
        (Gap(CL, None, 1500), True),
        (Gap(CL, None, 2500), False),  # a record at 1500 stands between
        (Gap(CL, 500, None), True),
        (Gap(CL, 1500, None), False),
        (Gap(CL, None, None), False),
    ],
)
def test_a_lost_update_is_reported_by_a_gap_around_it(gap: Gap, covered: bool) -> None:
    written = {CL: records(CL, 500, 1500, 2500)}
    assert (unreported([Update(CL, 1000)], written, [gap]) == ()) is covered


def test_a_gap_without_an_end_reaches_to_the_next_record_and_without_one_for_ever() -> None:
    written = {CL: records(CL, 500, 900, 1500)}
    assert unreported([Update(CL, 1000)], written, [Gap(CL, 500, None)])
    assert not unreported([Update(CL, 2000)], written, [Gap(CL, 1500, None)])


def test_a_gap_is_exact_if_its_bounds_are_neighbours_on_kafka() -> None:
    written = {CL: records(CL, 500, 1500, 2500)}
    wrong = [Gap(CL, 500, 2500), Gap(CL, 500, 1400), Gap(CL, None, 1500), Gap(NG, 500, 1500)]
    assert inexact([Gap(CL, 500, 1500), *wrong], written) == tuple(wrong)


def test_silence_counts_from_the_edges_of_the_window_too() -> None:
    window = Window(0, 3000)
    assert longest_silence_s({CL: [500, 1000, 2200, 2700]}, window) == (1.2, CL)
    assert longest_silence_s({CL: [500, 1000]}, window) == (2.0, CL)
    assert longest_silence_s({CL: [2900], NG: [10, 2990]}, window) == (2.98, NG)
    assert longest_silence_s({CL: []}, window) == (3.0, CL)


def test_silences_are_counted_by_their_length() -> None:
    assert silences({CL: [0, 500, 1000, 1720], NG: [0, 510]}, 0.1) == {"0.5": 3, "0.7": 1}


def test_recovery_is_the_first_record_of_a_higher_epoch() -> None:
    written = {
        CL: records(CL, 500, 990) + records(CL, 1500, 2000, epoch=2, worker="w-1", after=2),
        NG: records(NG, 500),
    }
    assert next_ticks_s(written, {CL: 1, NG: 1}, 1000) == {CL: 0.52}


def test_a_record_from_before_the_moment_is_no_recovery() -> None:
    moved_before = records(CL, 900, 2000, epoch=2, worker="w-1")
    assert next_ticks_s({CL: moved_before}, {CL: 1}, 1000) == {CL: 1.02}


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(n) for n in range(20, 0, -1)]
    assert quantile(values, 0.5) == 10
    assert quantile(values, 0.99) == 20
    assert quantile([3.0], 0.5) == 3
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
