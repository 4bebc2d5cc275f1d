"""The search for contracts' latest records: over what comes from Kafka, without Kafka."""

from __future__ import annotations

import pytest

from ibfeed_api.shard import Mark
from ibfeed_worker.publish.tail import LOOK_BACK, Search, Tail, Window

WANTED = {0: {b"1", b"2"}, 3: {b"3"}}


def record(time: int, seq: int) -> bytes:
    return b'{"symbol":"CLZ6","price":71.90,"event_time":%d,"flags":[],"seq":%d}' % (time, seq)


def test_the_last_record_of_each_key_is_found() -> None:
    search = Search(WANTED, {0: Window(0, 4), 3: Window(0, 1)})
    search.take(0, 0, b"1", record(100, 1))
    search.take(0, 1, b"2", record(100, 7))
    search.take(0, 2, b"1", record(200, 2))
    assert not search.done
    search.take(0, 3, b"9", b"of nobody here")
    search.take(3, 0, b"3", record(300, 5))
    assert search.done
    assert search.tails() == {
        b"1": Tail(Mark(event_time=200, seq=2)),
        b"2": Tail(Mark(event_time=100, seq=7)),
        b"3": Tail(Mark(event_time=300, seq=5)),
    }


@pytest.mark.parametrize(
    ("window", "doubt"),
    [(Window(0, 0), False), (Window(0, 10), False), (Window(5, 10), True), (Window(0, 10**6), True)],
)
def test_that_there_is_none_is_certain_only_if_nothing_older_can_be(window: Window, doubt: bool) -> None:
    search = Search({0: {b"1"}}, {0: window})
    search.end(0)
    assert search.done
    assert search.tails()[b"1"].mark is None
    assert bool(search.tails()[b"1"].doubt) is doubt


def test_a_partition_that_was_not_read_to_its_end_tells_nothing() -> None:
    search = Search({0: {b"1"}, 1: {b"2"}}, {0: Window(0, 9)})
    search.take(0, 0, b"1", record(100, 1))
    assert not search.done
    assert [(tail.mark, bool(tail.doubt)) for tail in search.tails().values()] == [(None, True)] * 2


def test_the_look_back_is_bounded() -> None:
    assert Window(0, 3).start == 0
    assert Window(0, 10**9).start == 10**9 - LOOK_BACK
    assert Window(10**9 - 1, 10**9).start == 10**9 - 1


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"event_time":"x","seq":1}', b"\xff"])
def test_a_record_that_cannot_be_read_is_a_doubt(value: bytes) -> None:
    search = Search({0: {b"1"}}, {0: Window(0, 1)})
    search.take(0, 0, b"1", value)
    tail = search.tails()[b"1"]
    assert tail.mark is None
    assert tail.doubt
