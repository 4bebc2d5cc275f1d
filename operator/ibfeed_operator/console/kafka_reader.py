"""Reads ticks and events of one Kafka in a thread, from near the end, and hands on what they say together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from ibfeed_api.backoff import Backoff
from ibfeed_operator.console.sources import EVENTS_BACK_MS, TICKS_BACK_MS, TickSource, begin_at
from ibfeed_operator.console.ticks import Summary, summarise

_ANSWER_S: Final = 5.0
_BATCH: Final = 2000  # records, at most
_WAIT_S: Final = 0.1
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0
# A fetch for each record would cost Kafka and this process a tenth of a core. So the broker waits a moment for more.
_FETCH: Final = {"fetch.min.bytes": 100_000, "fetch.wait.max.ms": 100}
# No consumer group is joined and nothing is committed: ``group.id`` is only demanded by the library.
_CONSUMER: Final = {
    "group.id": "ibfeed-console",
    "client.id": "ibfeed-console",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": False,
    "auto.offset.reset": "latest",
    "queued.max.messages.kbytes": 16_384,
    "log_level": 2,
    **_FETCH,
}


class KafkaReader:
    """The reader of one source.

    Args:
        source: what to read.
        hand_on: is given each summary, in the event loop.
        tell: is given why Kafka cannot be read, in the event loop; an empty text: it is read.
    """

    def __init__(
        self, source: TickSource, hand_on: Callable[[str, Summary], None], tell: Callable[[str, str], None]
    ) -> None:
        self.source: Final = source
        self._hand_on, self._tell = hand_on, tell
        self._loop: Final = asyncio.get_running_loop()
        self._stop: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name=f"kafka {source.servers}", daemon=True)
        self._error: str = ""

    def start(self) -> None:
        if self.source.missing:
            self._tell(self.source.servers, self.source.missing)
            return
        self._tell(self.source.servers, "connecting to Kafka")
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end. It does so within seconds, and hands nothing on from now on."""
        self._stop.set()

    def _run(self) -> None:
        pause = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        while not self._stop.is_set():
            try:
                self._read(pause)
            except KafkaException as error:
                self._say(f"Kafka {self.source.servers} cannot be read: {_text(error)}; it is tried again")
            except _MissingTopicError as error:
                self._say(str(error))
            if self._stop.wait(pause.next()):
                return

    def _read(self, pause: Backoff) -> None:
        consumer = Consumer(
            {**dict(self.source.properties), **_CONSUMER, "bootstrap.servers": self.source.servers},
            error_cb=self._note,
        )
        try:
            consumer.assign(self._beginning(consumer))
            self._say("")
            pause.reset()
            while not self._stop.is_set():
                records = consumer.consume(_BATCH, _WAIT_S)
                good = [record for record in records if record.error() is None]
                if good:
                    self._hand(summarise(good, self.source.events))
                    self._say("")
                elif self._error:
                    self._say(self._error)
                refused = [record.error() for record in records if record.error() is not None]
                if refused:
                    raise KafkaException(refused[0])
        finally:
            consumer.close()

    def _beginning(self, consumer: Consumer) -> list[TopicPartition]:
        known = consumer.list_topics(timeout=_ANSWER_S).topics
        now = int(time.time() * 1000)
        asked: list[TopicPartition] = []
        for topics, back in ((self.source.ticks, TICKS_BACK_MS), (self.source.events, EVENTS_BACK_MS)):
            for topic in topics:
                if topic not in known:
                    raise _MissingTopicError(
                        f"Kafka {self.source.servers} has no topic {topic}, or does not show it: the feed's workers"
                        " create it, unless createTopics is false; with ACLs the console needs Describe and Read"
                    )
                asked += [TopicPartition(topic, number, now - back) for number in known[topic].partitions]
        begun = []
        for found in consumer.offsets_for_times(asked, timeout=_ANSWER_S):
            _, high = consumer.get_watermark_offsets(found, timeout=_ANSWER_S)
            partitions = len(known[found.topic].partitions)
            begun.append(TopicPartition(found.topic, found.partition, begin_at(found.offset, high, partitions)))
        return begun

    def _note(self, error: KafkaError) -> None:
        # Served by consume(), in this thread. The library goes on by itself, so this only says why nothing comes.
        self._error = f"Kafka {self.source.servers}: {error.str()}; it is tried again"

    def _hand(self, summary: Summary) -> None:
        self._error = ""
        self._call(self._hand_on, self.source.servers, summary)

    def _say(self, trouble: str) -> None:
        self._call(self._tell, self.source.servers, trouble)

    def _call(self, function: Callable[..., None], *given: Any) -> None:
        if self._stop.is_set():
            return
        try:
            self._loop.call_soon_threadsafe(self._unless_stopped, function, given)
        except RuntimeError:  # the loop has ended
            self._stop.set()

    def _unless_stopped(self, function: Callable[..., None], given: tuple[Any, ...]) -> None:
        if not self._stop.is_set():
            function(*given)


class _MissingTopicError(Exception):
    pass


def _text(error: KafkaException) -> str:
    cause = error.args[0] if error.args else None
    return cause.str() if isinstance(cause, KafkaError) else type(error).__name__
