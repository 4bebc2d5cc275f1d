"""The search for contracts' latest records: over what comes from Kafka, without Kafka."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ibfeed_api.feed import Topic
from ibfeed_api.records import seq_of
from ibfeed_api.shard import Mark
from ibfeed_worker.publish.tail import LOOK_BACK, Place, Question, Search, Tail, TailWindow, places

TICKS, BOOKS = Topic(name="ticklast", partitions=4), Topic(name="l2-data", partitions=2)
ONE, TWO, THREE = Question(b"1", 0), Question(b"2", 0), Question(b"3", 3)


def record(time: int, seq: int) -> bytes:
    return b'{"symbol":"CLZ6","price":71.90,"event_time":%d,"flags":[],"seq":%d}' % (time, seq)


def under(epoch: int | str) -> Callable[[], list[tuple[str, bytes]]]:
    return lambda: [("worker", b"energy-0"), ("epoch", str(epoch).encode())]


def ticks(partition: int) -> Place:
    return Place("ticklast", partition)


def search(*questions: Question, windows: dict[Place, TailWindow], refused: dict[Place, str] | None = None) -> Search:
    return Search(TICKS, BOOKS, questions, windows, refused)


def whole(*questions: Question) -> Search:
    """Over partitions that hold ten records each, of which all are looked at."""
    return search(*questions, windows=dict.fromkeys(places(TICKS, BOOKS, questions), TailWindow(0, 10)))


def end(found: Search) -> dict[bytes, Tail]:
    for place in list(found._open):
        found.end(place)
    assert found.done
    return found.tails()


def test_the_last_record_of_each_key_is_found() -> None:
    found = search(ONE, TWO, THREE, windows={ticks(0): TailWindow(0, 4), ticks(3): TailWindow(0, 1)})
    found.read(ticks(0), 0, b"1", record(100, 1), under(0))
    found.read(ticks(0), 1, b"2", record(100, 7), under(0))
    found.read(ticks(0), 2, b"1", record(200, 2), under(0))
    assert not found.done
    found.read(ticks(0), 3, b"9", b"of nobody here", under(0))
    found.read(ticks(3), 0, b"3", record(300, 5), under(0))
    assert found.done
    assert found.tails() == {
        b"1": Tail(Mark(event_time=200, seq=2)),
        b"2": Tail(Mark(event_time=100, seq=7)),
        b"3": Tail(Mark(event_time=300, seq=5)),
    }


@pytest.mark.parametrize(
    ("window", "doubt"),
    [(TailWindow(0, 0), False), (TailWindow(0, 10), False), (TailWindow(5, 10), True), (TailWindow(0, 10**6), True)],
)
def test_none_is_certain_only_if_nothing_older_can_be(window: TailWindow, doubt: bool) -> None:
    found = search(ONE, windows={ticks(0): window})
    found.end(ticks(0))
    assert found.done
    assert found.tails()[b"1"].mark is None
    assert bool(found.tails()[b"1"].doubt) is doubt


def test_a_partition_not_read_to_its_end_tells_nothing() -> None:
    found = search(ONE, THREE, windows={ticks(0): TailWindow(0, 9)})
    found.read(ticks(0), 0, b"1", record(100, 1), under(1))
    assert not found.done
    assert [(tail.mark, bool(tail.doubt)) for tail in found.tails().values()] == [(None, True)] * 2
    assert found.tails()[b"1"].epoch == 1  # that much is certain


def test_the_look_back_is_bounded() -> None:
    assert TailWindow(0, 3).start == 0
    assert TailWindow(0, 10**9).start == 10**9 - LOOK_BACK
    assert TailWindow(10**9 - 1, 10**9).start == 10**9 - 1


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"event_time":"x","seq":1}', b"\xff"])
def test_a_record_that_cannot_be_read_is_a_doubt(value: bytes) -> None:
    found = search(ONE, windows={ticks(0): TailWindow(0, 1)})
    found.read(ticks(0), 0, b"1", value, under(3))
    tail = found.tails()[b"1"]
    assert tail.mark is None
    assert tail.doubt
    assert tail.epoch == 3


# Which epochs are used up.


def test_the_highest_epoch_counts_wherever_it_stands() -> None:
    found = whole(ONE)
    found.read(ticks(0), 0, b"1", record(100, seq_of(7, 1)), under(7))
    found.read(ticks(0), 1, b"1", record(200, seq_of(5, 1)), under(5))  # a zombie's, or of a feed that began anew
    assert end(found)[b"1"] == Tail(Mark(event_time=200, seq=seq_of(5, 1)), epoch=7, mark_epoch=5)


def test_a_long_epoch_has_used_up_those_it_was_counted_into() -> None:
    found = whole(ONE)
    found.read(ticks(0), 0, b"1", record(100, seq_of(7, 3 * 2**20 + 5)), under(7))
    assert end(found)[b"1"].epoch == 10


def test_epochs_that_counted_assignments_have_numbers_too() -> None:
    found = whole(ONE)
    found.read(ticks(0), 0, b"1", record(100, (5 << 32) + 17), under(5))
    epoch = end(found)[b"1"].epoch
    assert seq_of(epoch, 0) <= (5 << 32) + 17 < seq_of(epoch + 1, 0)


@pytest.mark.parametrize("epoch", ["", "x", "-3", "²", 2**33, 10**30])
def test_a_header_that_is_not_ours_counts_for_nothing(epoch: int | str) -> None:
    found = whole(ONE)
    found.read(ticks(0), 0, b"1", b"of somebody else", under(epoch))
    assert end(found)[b"1"].epoch == 0


def test_what_nobody_remembers_is_looked_for_in_all_partitions() -> None:
    anywhere = Question(b"1", 0, anywhere=True)
    assert places(TICKS, BOOKS, [anywhere, THREE]) == {
        **{ticks(number): {b"1"} for number in (0, 1, 2)},
        ticks(3): {b"1", b"3"},
        Place("l2-data", 0): {b"1"},
        Place("l2-data", 1): {b"1"},
    }
    found = whole(anywhere)
    found.read(ticks(2), 0, b"1", record(300, seq_of(8, 1)), under(8))  # under another feed it had another slot
    found.read(ticks(0), 0, b"1", record(200, seq_of(7, 1)), under(7))
    found.read(Place("l2-data", 1), 0, b"1", record(250, seq_of(9, 1)), under(9))
    assert end(found)[b"1"] == Tail(Mark(event_time=300, seq=seq_of(8, 1)), epoch=9, mark_epoch=8)


def test_books_that_may_not_be_read_are_no_doubt_about_ticks() -> None:
    anywhere = Question(b"1", 0, anywhere=True)
    every = places(TICKS, BOOKS, [anywhere])
    windows = {place: TailWindow(0, 10) for place in every if place.topic == "ticklast"}
    refused = {place: "not authorized" for place in every if place.topic == "l2-data"}
    found = search(anywhere, windows=windows, refused=refused)
    found.read(ticks(1), 0, b"1", record(300, seq_of(8, 1)), under(8))
    for place in windows:
        found.end(place)
    assert found.done
    assert found.tails()[b"1"] == Tail(Mark(event_time=300, seq=seq_of(8, 1)), epoch=8, mark_epoch=8)


def test_ticks_that_may_not_be_read_are_a_doubt_that_says_why() -> None:
    found = search(ONE, windows={}, refused={ticks(0): "topic ticklast can't be read: not authorized"})
    assert found.done
    assert found.tails()[b"1"].doubt == "topic ticklast can't be read: not authorized"


@pytest.mark.parametrize(("window", "epoch"), [(TailWindow(0, 10), 0), (TailWindow(0, 10**6), 8)])
def test_a_quiet_contract_is_not_below_its_busy_neighbours(window: TailWindow, epoch: int) -> None:
    """Its own last record may be further back than is looked. Who gave an epoch to these gave the later one last."""
    found = search(ONE, windows={ticks(0): window})
    for offset, neighbour in enumerate([b"2", b"3", b"2"]):
        found.read(ticks(0), offset, neighbour, b"", under((9, 4, 6)[offset]))
    found.read(ticks(0), 3, b"2", b"", under(9))
    assert end(found)[b"1"].epoch == epoch
