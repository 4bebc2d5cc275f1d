"""Records wait for their block, and it is known from where a restart goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ibfeed.recording.assembler import LARGEST, LONGEST_S, Assembler
from support.recordings import DAY_MS, START_MS


@dataclass
class Message:
    offset_: int
    key_: bytes | None = b"1"
    time: int = START_MS
    partition_: int = 0
    worker: str | None = "energy-0"
    value_: bytes | None = b"{}"
    topic_: str = field(default="ticklast")

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> Any:
        return None if self.worker is None else [("worker", self.worker.encode())]

    def timestamp(self) -> tuple[int, int]:
        return 1, self.time

    def error(self) -> None:
        return None


P0, P1 = ("ticklast", 0), ("ticklast", 1)


def assembler(feed: str | None = "energy") -> Assembler:
    return Assembler(feed, {P0: 0, P1: 50})


def test_records_of_one_key_and_day_make_a_block() -> None:
    waiting = assembler()
    messages = [Message(0), Message(1, b"2"), Message(2), Message(3, time=START_MS + DAY_MS), Message(50, partition_=1)]
    assert list(waiting.add(messages, 0.0)) == []
    found = [(batch.partition, batch.key, batch.offsets) for batch in waiting.rest()]
    assert found == [(0, b"1", [0, 2]), (0, b"2", [1]), (0, b"1", [3]), (1, b"1", [50])]


def test_full_block_comes_out_at_once() -> None:
    waiting = assembler()
    (batch,) = waiting.add([Message(number) for number in range(LARGEST + 1)], 0.0)
    assert batch.offsets == list(range(LARGEST))
    assert waiting.positions()[P0] == LARGEST


def test_position_is_the_first_record_that_waits() -> None:
    waiting = assembler()
    assert waiting.positions() == {P0: 0, P1: 50}
    list(waiting.add([Message(4), Message(5, b"2"), Message(6)], 0.0))
    assert waiting.positions() == {P0: 4, P1: 50}
    waiting.rest()
    assert waiting.positions() == {P0: 7, P1: 50}


def test_records_do_not_wait_for_ever() -> None:
    waiting = assembler()
    list(waiting.add([Message(0)], 10.0))
    list(waiting.add([Message(1), Message(2, b"2")], 20.0))
    assert waiting.overdue(9.9 + LONGEST_S) == []
    assert [batch.offsets for batch in waiting.overdue(10.0 + LONGEST_S)] == [[0, 1]]
    assert waiting.positions()[P0] == 2


def test_other_feeds_are_left_out() -> None:
    waiting = assembler()
    list(waiting.add([Message(0, worker="metals-0"), Message(1, worker=None), Message(2)], 0.0))
    assert waiting.left_out == 2
    assert [batch.offsets for batch in waiting.rest()] == [[2]]
    assert waiting.positions()[P0] == 3


def test_without_a_feed_all_records_are_kept() -> None:
    waiting = assembler(None)
    list(waiting.add([Message(0, worker="metals-0"), Message(1, worker=None), Message(2)], 0.0))
    (batch,) = waiting.rest()
    assert batch.headers == [(("worker", b"metals-0"),), (), (("worker", b"energy-0"),)]
