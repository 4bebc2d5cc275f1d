"""A replay's records go out by time, in the order of each file, and at the pace that was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ibfeed.recording.records import Batch
from ibfeed.recording.schedule import Item, Pace, between, merged


def batch(*times: int, first: int = 0) -> Batch:
    count = len(times)
    return Batch("t", 0, b"k", list(range(first, first + count)), list(times), [()] * count, [b""] * count)


def flat(files: list[list[Batch]]) -> list[Item]:
    return [item for items in merged(files) for item in items]


@given(st.lists(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), max_size=4), max_size=4))
def test_all_records_come_once_and_in_order(times: list[list[list[int]]]) -> None:
    files = []
    for file in times:
        firsts = [sum(map(len, file[:number])) for number in range(len(file))]
        files.append([batch(*each, first=first) for each, first in zip(file, firsts, strict=True)])
    items = flat(files)
    assert [item[0] for item in items] == sorted(item[0] for item in items)
    for number, file in enumerate(times):
        offsets = [found.offsets[place] for _, of, place, found in items if of == number]
        assert offsets == list(range(sum(map(len, file))))


def test_files_are_merged_by_time() -> None:
    items = flat([[batch(1, 5), batch(9)], [batch(2, 3, 20)]])
    assert [item[0] for item in items] == [1, 2, 3, 5, 9, 20]


def test_clock_that_went_back_does_not_reorder_a_file() -> None:
    items = flat([[batch(5, 3), batch(4, first=2)], [batch(4)]])
    assert [(item[0], item[1], item[3].offsets[item[2]]) for item in items] == [
        (4, 1, 0),
        (5, 0, 0),
        (5, 0, 1),
        (5, 0, 2),
    ]


def test_span_begins_with_its_first_moment_and_ends_before_its_last() -> None:
    kept = list(between([batch(1, 2), batch(3, 4, 5), batch(6)], 2, 5))
    assert [found.times for found in kept] == [[2], [3, 4]]
    assert [found.times for found in between([batch(1, 2)], None, None)] == [[1, 2]]


def test_pace_is_so_many_times_as_fast() -> None:
    items = flat([[batch(1000, 1999, 2000, 6000)]])
    pace = Pace(4.0, 1000, begun=100.0)
    assert pace.due(items, 0, 100.0) == 1
    assert pace.due(items, 0, 100.25) == 3
    assert pace.due(items, 3, 101.0) == 3
    assert pace.wait(items[3], 101.0) == 0.25
    assert pace.wait(items[0], 100.5) == -0.5


def test_without_a_speed_all_are_due() -> None:
    items = flat([[batch(1000, 9000)]])
    pace = Pace(None, 1000, begun=0.0)
    assert pace.due(items, 0, 0.0) == 2
    assert pace.wait(items[1], 0.0) == 0.0
