"""A search for how far contracts are on Kafka: the latest record of each, in the tails of partitions.

It is made when the worker that published last can't say any more, and when no worker vouches for an epoch. Kafka's
records of a contract count, whatever became of the resource that they were published for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ibfeed_api.feed import Topic
from ibfeed_api.records import HEADER_EPOCH, epoch_of
from ibfeed_api.shard import Mark
from ibfeed_worker.publish.avro import AvroError

LOOK_BACK: Final = 5000  # the last records of a partition that are read
LIMIT_S: Final = 2.0
EVERYWHERE_LIMIT_S: Final = 4.0
_BATCH: Final = 1000
_WAIT_S: Final = 0.1

Headers = Callable[[], Any]  # a list of names and values, or None; made only where it is needed


class Question(NamedTuple):
    """A question about one contract."""

    key: bytes
    partition: int  # the ticks' partition, where it is published from now on
    # Nothing is remembered of it. Another resource may have published it, with another slot. So all partitions are
    # searched, and those of the order books, too.
    anywhere: bool = False


class Tail(NamedTuple):
    """The contract's records on Kafka, as far as is known.

    Args:
        mark: its latest tick. Without one and without a ``doubt`` the contract was never published.
        doubt: why that is not known.
        epoch: the contract's next epoch must be above it.
        mark_epoch: the epoch of ``mark``.
    """

    mark: Mark | None
    doubt: str = ""
    epoch: int = 0
    mark_epoch: int = 0


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class TailWindow(NamedTuple):
    """The offsets that Kafka has of a partition: from ``low`` to before ``high``."""

    low: int
    high: int

    @property
    def start(self) -> int:
        return max(self.low, self.high - LOOK_BACK)


class _Written(NamedTuple):
    """A record on Kafka, with the epoch of its headers."""

    epoch: int
    value: bytes


class _Numbers(msgspec.Struct):
    """The numbers of a record that make its mark."""

    event_time: int
    seq: int


_decoder: Final = msgspec.json.Decoder(_Numbers)
_LATE: Final = "Kafka did not give all of the partition's tail in time"
_NO_EPOCH: Final = 2**33  # an epoch so high is not ours


def places(ticks: Topic, books: Topic, questions: Iterable[Question]) -> dict[Place, set[bytes]]:
    """Return where to look, and for which keys."""
    found: dict[Place, set[bytes]] = {}
    for question in questions:
        partitions = range(ticks.partitions) if question.anywhere else (question.partition,)
        wanted = [Place(ticks.name, number) for number in partitions]
        wanted += [Place(books.name, number) for number in range(books.partitions) if question.anywhere]
        for place in wanted:
            found.setdefault(place, set()).add(question.key)
    return found


class Search:
    """The search through the tails of partitions. Pure: records go in, in each partition's order."""

    def __init__(
        self,
        ticks: Topic,
        books: Topic,
        questions: Collection[Question],
        windows: Mapping[Place, TailWindow],
        refused: Mapping[Place, str] | None = None,
        as_json: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """A place without a window counts as not read; ``refused`` says why.

        ``as_json`` makes JSON of a record's value; it raises AvroError.
        """
        self._ticks: Final = ticks.name
        self._questions: Final = questions
        self._wanted: Final = places(ticks, books, questions)
        self._windows: Final = windows
        self._refused: Final = refused or {}
        self._as_json: Final = as_json
        empty = {place for place, window in windows.items() if window.start >= window.high}
        self._open: Final = set(self._wanted) - empty
        self._latest: Final[dict[tuple[Place, bytes], _Written]] = {}
        self._highest: Final[dict[tuple[Place, bytes], _Written]] = {}  # the record of the highest epoch
        self._others: Final[
            dict[tuple[Place, bytes], Headers]
        ] = {}  # headers of the latest record of each key that is not asked for

    @property
    def done(self) -> bool:
        """Whether all that can be read is read."""
        return not self._open - self._refused.keys()

    def read(self, place: Place, offset: int, key: bytes, value: bytes, headers: Headers) -> None:
        if key in self._wanted[place]:
            written = _Written(_epoch(headers), value)
            self._latest[place, key] = written
            highest = self._highest.get((place, key))
            if highest is None or written.epoch >= highest.epoch:
                self._highest[place, key] = written
        else:
            self._others[place, key] = headers
        if offset >= self._windows[place].high - 1:
            self._open.discard(place)

    def end(self, place: Place) -> None:
        """Note that Kafka has no more records there: the last offsets need not be records."""
        self._open.discard(place)

    def tails(self) -> dict[bytes, Tail]:
        return {question.key: self._tail(question) for question in self._questions}

    def _tail(self, question: Question) -> Tail:
        key = question.key
        wanted = [place for place, keys in self._wanted.items() if key in keys]
        ticks = [place for place in wanted if place.topic == self._ticks]
        doubt = next((self._refused.get(place) or _LATE for place in ticks if place in self._open), "")
        marks: list[tuple[Mark, int]] = []
        for place in ticks:
            written = self._latest.get((place, key))
            mark = self._mark(written) if written is not None else None
            if written is not None and mark is not None:
                marks.append((mark, written.epoch))
            elif written is not None and not doubt:
                doubt = "the contract's latest record can't be read"
        latest, epoch = max(marks, key=lambda found: (found[0].event_time, found[0].seq), default=(None, 0))
        if not marks and not doubt and any(self._is_cut(place) for place in ticks):
            doubt = "the partition's latest records hold none of the contract"
        if doubt and not question.anywhere:
            latest, epoch = None, 0
        return Tail(latest, doubt, self._used_up(key, wanted), epoch)

    def _used_up(self, key: bytes, wanted: Iterable[Place]) -> int:
        """Return the highest epoch that the contract's records carry, or are numbered in.

        A contract that ticks seldom may have no record in the window. Then it is one below the highest epoch in there.
        The operator that gave that epoch gave the contract's, too, and the later one is the higher one.
        """
        used_up = 0
        for place in wanted:
            found = [self._latest.get((place, key)), self._highest.get((place, key))]
            records = [written for written in found if written is not None]
            if records:
                numbered = (epoch_of(mark.seq) for written in records if (mark := self._mark(written)) is not None)
                used_up = max([used_up, *(written.epoch for written in records), *filter(_NO_EPOCH.__gt__, numbered)])
            elif self._is_cut(place):
                around = [_epoch(headers) for (where, _), headers in self._others.items() if where == place]
                used_up = max([used_up, *(epoch - 1 for epoch in around)])
        return used_up

    def _mark(self, written: _Written) -> Mark | None:
        try:
            numbers = _decoder.decode(self._as_json(written.value))
        except (AvroError, msgspec.DecodeError):
            return None
        return Mark(event_time=numbers.event_time, seq=numbers.seq)

    def _is_cut(self, place: Place) -> bool:
        """Whether the partition holds more records than were looked at."""
        window = self._windows.get(place)
        return window is not None and window.start > 0


def _epoch(headers: Headers) -> int:
    """Return the epoch in the headers; 0 if there is none, for such a record is not ours."""
    for name, value in headers() or ():
        if name == HEADER_EPOCH:
            text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            epoch = int(text) if text.isascii() and text.isdecimal() else 0
            return epoch if epoch < _NO_EPOCH else 0
    return 0


def read(
    settings: Mapping[str, Any],
    ticks: Topic,
    books: Topic,
    questions: Collection[Question],
    as_json: Callable[[bytes], bytes],
) -> dict[bytes, Tail]:
    """Look up the tails. ``as_json``: see ``Search``.

    Blocks for little more than ``LIMIT_S``, or ``EVERYWHERE_LIMIT_S`` if a question is ``anywhere``.

    Raises KafkaException.
    """
    limit = EVERYWHERE_LIMIT_S if any(question.anywhere for question in questions) else LIMIT_S
    deadline = time.monotonic() + limit
    consumer = Consumer(
        {
            **settings,
            "group.id": settings["client.id"],  # asked for, not joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        },
        logger=logging.getLogger("librdkafka"),
    )
    try:
        windows, refused = _windows(consumer, places(ticks, books, questions), deadline)
        search = Search(ticks, books, questions, windows, refused, as_json)
        consumer.assign([TopicPartition(*place, window.start) for place, window in windows.items()])
        while not search.done and time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, timeout=_WAIT_S):
                _take(search, message)
        return search.tails()
    finally:
        consumer.close()


def _windows(
    consumer: Consumer, wanted: Iterable[Place], deadline: float
) -> tuple[dict[Place, TailWindow], dict[Place, str]]:
    windows: dict[Place, TailWindow] = {}
    refused: dict[Place, str] = {}
    topics: dict[str, str] = {}  # what is wrong with a topic, whose other partitions are not asked for
    for place in wanted:
        left = max(_WAIT_S, deadline - time.monotonic())
        if place.topic not in topics:
            try:
                offsets = consumer.get_watermark_offsets(TopicPartition(*place), timeout=left)
            except KafkaException as error:
                topics[place.topic] = f"topic {place.topic} can't be read: {_text(error)}"
            else:
                if offsets is not None:
                    windows[place] = TailWindow(*offsets)
                continue
        refused[place] = topics[place.topic]
    return windows, refused


def _take(search: Search, message: Message) -> None:
    error, topic, partition, offset = message.error(), message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        return
    if error is None:
        search.read(Place(topic, partition), offset, message.key() or b"", message.value() or b"", message.headers)
    elif error.code() == KafkaError._PARTITION_EOF:
        search.end(Place(topic, partition))


def _text(error: KafkaException) -> str:
    inner = error.args[0] if error.args else error
    return inner.str() if isinstance(inner, KafkaError) else str(inner)
