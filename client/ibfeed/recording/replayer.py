"""From a folder into Kafka: the same keys, partitions, headers, times and values."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

from ibfeed.errors import KafkaRefusedError, KafkaUnreachableError, MissingTopicError, RecordingError
from ibfeed.kafka import CONNECT_S
from ibfeed.recording import files, records
from ibfeed.recording.blocks import Block, BlockKind
from ibfeed.recording.files import File, Recording
from ibfeed.recording.layout import DAY_MS
from ibfeed.recording.records import Batch
from ibfeed.recording.schedule import Item, Pace, between, merged
from ibfeed.recording.source import Kafka

_FULL_S: Final = 0.05  # a wait for room among the records that are on their way
_LONGEST_NAP_S: Final = 0.2
_SLICE: Final = 500  # records between two looks at Kafka's answers
_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Selection:
    """The records of a folder to be replayed, or put into a table.

    Args:
        from_ms: from when on, in ms since 1970; None: from the beginning.
        until_ms: before when; None: to the end.
        symbols: only contracts of these symbols; empty: all, and records of no contract.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    symbols: Collection[str] = ()

    def reaches(self, day: str) -> bool:
        """Whether a day, such as 2026-11-27, may have such records. A file in a folder of another name may, too."""
        try:
            begin_ms = (dt.date.fromisoformat(day) - dt.date(1970, 1, 1)).days * DAY_MS
        except ValueError:
            return True
        after = self.from_ms is not None and begin_ms + DAY_MS <= self.from_ms
        before = self.until_ms is not None and begin_ms >= self.until_ms
        return not (after or before)


@dataclass(slots=True)
class Replayed:
    """The records that were replayed so far.

    Args:
        sent: records.
        first_ms: time of the first one, in ms since 1970; None: there was none.
        last_ms: time of the latest one.
        seconds: for how long it has run.
        latest_s: by how many seconds a record was late at most, beside the pace that was asked for.
    """

    sent: int = 0
    first_ms: int | None = None
    last_ms: int = 0
    seconds: float = 0.0
    latest_s: float = 0.0

    @property
    def speed(self) -> float:
        """How many times as fast as it was; 0 if that cannot be told."""
        span = 0 if self.first_ms is None else self.last_ms - self.first_ms
        return span / 1000 / self.seconds if self.seconds > 0 else 0.0


def days(place: Recording, wanted: Selection) -> Iterator[list[Iterator[Batch]]]:
    """Yield for each day the records of its files. Damage was told by ``summary``. Raises RecordingError."""
    found = sorted(files.find(place), key=files.day_name)
    for day, of_day in groupby(found, key=files.day_name):
        if wanted.reaches(day):
            yield [between(_batches(file, wanted.symbols), wanted.from_ms, wanted.until_ms) for file in of_day]


def _batches(file: File, symbols: Collection[str]) -> Iterator[Batch]:
    """Yield a file's records; none if its contract was not asked for."""
    known = not symbols
    for found in files.read(file):
        if not isinstance(found, Block) or found.summary.kind != BlockKind.RECORDS:
            continue
        batch = records.decode(found)
        if not known:
            if records.symbol_of(batch.values) not in symbols:
                return
            known = True
        yield batch


class Replayer:
    """A replay into Kafka. The topics must be there, with at least as many partitions as those of the recording."""

    def __init__(self, kafka: Kafka, prefix: str, speed: float | None) -> None:
        """Connect.

        Args:
            kafka: where the records go.
            prefix: what each topic's name begins with there.
            speed: how many times as fast as it was; None: as fast as possible.

        Raises:
            KafkaRefusedError: the properties are refused.
        """
        self.replayed: Final = Replayed()
        self._kafka: Final = kafka
        self._prefix: Final = prefix
        self._speed: Final = speed
        self._refusal: KafkaError | None = None
        self._partitions: Final[dict[str, int]] = {}
        with kafka.errors():
            own: dict[str, Any] = {
                "allow.auto.create.topics": False,  # it would have too few partitions
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 100_000,
                "delivery.report.only.error": True,
                "on_delivery": self._on_failure,
            }
            self._producer: Final = Producer(kafka.properties(**own), logger=logging.getLogger("ibfeed.librdkafka"))

    def run(self, place: Recording, wanted: Selection, on_progress: Callable[[Replayed], None]) -> Replayed:
        """Send the records by time, and wait until Kafka has them.

        Raises:
            RecordingError: there is no recording, or none of its records was asked for.
            MissingTopicError: a topic is not there, or has fewer partitions.
            KafkaRefusedError: Kafka refuses a record.
            KafkaUnreachableError: no broker answers.
        """
        begun = time.monotonic()
        pace: Pace | None = None
        for day in days(place, wanted):
            for items in merged(day):
                if pace is None:
                    self.replayed.first_ms, begun = items[0][0], time.monotonic()
                    pace = Pace(self._speed, items[0][0], begun)
                self._send_all(items, pace, begun, on_progress)
        if pace is None:
            raise RecordingError(f"{place} has no records of that time and those symbols: see `ibfeed inspect {place}`")
        left = self._producer.flush(_FLUSH_S)
        self._raise_refusal()
        if left:
            raise KafkaUnreachableError(f"Kafka at {self._kafka.servers} did not acknowledge {left} records: check it")
        self.replayed.seconds = time.monotonic() - begun
        return self.replayed

    def _send_all(
        self, items: Sequence[Item], pace: Pace, begun: float, on_progress: Callable[[Replayed], None]
    ) -> None:
        place, replayed = 0, self.replayed
        while place < len(items):
            now = time.monotonic()
            end = min(pace.due(items, place, now), place + _SLICE)
            if end == place:
                self._producer.poll(min(_LONGEST_NAP_S, max(0.0, pace.wait(items[place], now))))
            else:
                replayed.latest_s = max(replayed.latest_s, -pace.wait(items[place], now))
                self._send(items[place:end])
                replayed.sent += end - place
                replayed.last_ms = items[end - 1][0]
                self._producer.poll(0)
                place = end
            self._raise_refusal()
            replayed.seconds = now - begun
            on_progress(replayed)

    def _send(self, items: Sequence[Item]) -> None:
        produce, prefix, partitions = self._producer.produce, self._prefix, self._partitions
        for _, _, number, batch in items:
            # This loop is the replay's speed, after the decoding of blocks.
            topic = prefix + batch.topic
            if partitions.get(topic, 0) <= batch.partition:
                self._check(topic, batch.partition)
            while True:
                try:
                    produce(
                        topic,
                        batch.values[number],
                        batch.key,
                        batch.partition,
                        timestamp=batch.times[number],
                        headers=list(batch.headers[number]),
                    )
                    break
                except BufferError:
                    self._producer.poll(_FULL_S)
                    self._raise_refusal()

    def _check(self, topic: str, partition: int) -> None:
        with self._kafka.errors():
            found = self._producer.list_topics(topic, timeout=CONNECT_S).topics[topic]
        there = 0 if found.error is not None else len(found.partitions)
        if there <= partition:
            raise MissingTopicError(
                f"topic {topic} on {self._kafka.servers} has {there} partitions, and the recording needs"
                f" {partition + 1} or more: make the topic with as many as the recorded one had"
            )
        self._partitions[topic] = there

    def _on_failure(self, error: KafkaError, _: object) -> None:
        self._refusal = error

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise KafkaRefusedError(
                f"Kafka at {self._kafka.servers} does not take a record: {self._refusal.str()}; the replay is not"
                " whole, so start it again into new topics"
            )
