"""A queue in a Kafka topic of one partition."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic

from ibfeed.codec import decode, encode
from ibfeed.errors import KafkaRefusedError, KafkaUnreachableError
from ibfeed.events import Event
from ibfeed.kafka import EARLIEST, Settings, Source, retried
from ibfeed.offsets import AWAY
from ibfeed.records import Message, place_of
from ibfeed.stream import Topics
from ibfeed.threads import OwnThread

_ANSWER_S: Final = 10.0
_DELIVERY_MS: Final = 30_000  # until an event that Kafka does not confirm is given up
_COMMIT_S: Final = 0.1  # a publisher that waits for room waits for this
_FIRST_PAUSE_S: Final = 0.02  # between looks whether there is room again
_LONGEST_PAUSE_S: Final = 0.5
Client = TypeVar("Client", AdminClient, Producer)
_CLOSED: Final[list[tuple[str, str | bytes | None]]] = [("ibfeed", b"closed")]  # the header of a record without a value


class KafkaQueue:
    """A queue in a Kafka topic. It is created, with one partition, if it is not there.

    Each group gets all events, from the first one that it is not done with. One consumer of a group runs at a time.
    After a crash of the consumer the events of the last 0.1 s come again. Events that Kafka deleted before this group
    was done with them are told as a ``Gap``.

    ``publish`` hands an event to the client library, which sends it within some milliseconds. A crash of the publisher
    loses what was not sent. After ``close`` and ``release`` Kafka has all.

    Args:
        servers: Kafka's bootstrap servers.
        topic: its name.
        group: the name under which Kafka keeps what is done with.
        room: ``publish`` waits while this group is not done with so many events. Several publishers share it roughly.
        config: further properties of librdkafka. They may hold secrets, and are never shown.
    """

    def __init__(
        self, servers: str, topic: str, group: str, room: int, config: Mapping[str, Any] | None = None
    ) -> None:
        self._publisher: Final = _TopicPublisher(_Topic(servers, topic, group, config or {}), room)
        self._consumer: Final = _TopicConsumer(_Topic(servers, topic, group, config or {}))

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full. Raises KafkaUnreachableError or KafkaRefusedError."""
        await self._publisher.publish(event)

    async def close(self) -> None:
        """Say that no more events come. Raises KafkaUnreachableError or KafkaRefusedError."""
        await self._publisher.close()

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come.

        Raises:
            KafkaUnreachableError: no broker answers for 30 s.
            KafkaRefusedError: Kafka refuses.
            RecordError: a record of the topic is no event.
        """
        return await self._consumer.consume()

    async def release(self) -> None:
        """Send what is left, note what is done with, and give back connections and threads.

        Raises KafkaUnreachableError or KafkaRefusedError.
        """
        try:
            await self._consumer.release()
        finally:
            await self._publisher.release()


class _Topic:
    """The topic, as both ends see it. Calls block."""

    def __init__(self, servers: str, name: str, group: str, config: Mapping[str, Any]) -> None:
        self.servers: Final = servers
        self.name: Final = name
        self.group: Final = group
        self.config: Final = config
        self._admin: AdminClient | None = None

    def create(self) -> None:
        """Create the topic if it is not there. Raises KafkaUnreachableError or KafkaRefusedError."""
        with self.errors():
            found = self._client().list_topics(self.name, timeout=_ANSWER_S).topics[self.name]
            if found.error is None and len(found.partitions) != 1:
                raise KafkaRefusedError(
                    f"topic {self.name} at {self.servers} has {len(found.partitions)} partitions, and a queue keeps its"
                    " order with 1: name another topic, which is then created"
                )
            if found.error is not None:
                wanted = NewTopic(self.name, num_partitions=1)
                self._client().create_topics([wanted], operation_timeout=_ANSWER_S)[self.name].result(_ANSWER_S)

    def not_done(self) -> int:
        """Return how many records the group is not done with. Raises KafkaUnreachableError or KafkaRefusedError."""
        with self.errors():
            return retried(self._not_done)

    def _not_done(self) -> int:
        request = [ConsumerGroupTopicPartitions(self.group, [TopicPartition(self.name, 0)])]
        answer = self._client().list_consumer_group_offsets(request, request_timeout=_ANSWER_S)[self.group]
        done = int(answer.result(_ANSWER_S).topic_partitions[0].offset)
        return self._offset(OffsetSpec.latest()) - max(done, self._offset(OffsetSpec.earliest()))

    def _offset(self, of: OffsetSpec) -> int:
        place = TopicPartition(self.name, 0)
        found = self._client().list_offsets({place: of}, request_timeout=_ANSWER_S)[place].result(_ANSWER_S)
        return int(found.offset)

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = _built(AdminClient, self._properties())
        return self._admin

    def producer(self) -> Producer:
        """Return a producer. Raises KafkaRefusedError."""
        settings = {"enable.idempotence": True, "delivery.timeout.ms": _DELIVERY_MS}  # in order, and none twice
        return _built(Producer, {"linger.ms": 5, **self._properties(), **settings})

    def _properties(self) -> dict[str, Any]:
        return {**self.config, "bootstrap.servers": self.servers}

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self.told(error.args[0]) from None

    def told(self, error: KafkaError) -> KafkaRefusedError | KafkaUnreachableError:
        """Return an error of Kafka as one of ours."""
        where = f"the queue {self.name} at {self.servers}"
        if error.code() in AWAY or error.code() == KafkaError._MSG_TIMED_OUT:
            return KafkaUnreachableError(
                f"{where} did not answer ({error.str()}): check the address, that this machine reaches it and the"
                " addresses that its brokers advertise, and the security properties in config"
            )
        return KafkaRefusedError(
            f"Kafka refuses {where}: {error.str()}; check the rights to Create, Read and Write the topic, and to Read"
            f" the group {self.group}"
        )


def _built(kind: Callable[..., Client], properties: Mapping[str, Any]) -> Client:
    """Return a client of Kafka. Raises KafkaRefusedError."""
    try:
        return kind(dict(properties), logger=logging.getLogger("ibfeed.librdkafka"))
    except (KafkaException, ValueError, TypeError):
        # The text of such an error may hold the value of a property, and so a password.
        raise KafkaRefusedError("the properties for Kafka are refused: correct config") from None


class _TopicPublisher:
    def __init__(self, topic: _Topic, room: int) -> None:
        self._topic: Final = topic
        self._room: Final = room
        self._budget = 0  # events that may be sent before the next look
        self._thread: Final = OwnThread()
        self._producer: Producer | None = None
        self._failure: KafkaError | None = None

    async def publish(self, event: Event) -> None:
        producer = await self._opened()
        pause = _FIRST_PAUSE_S
        while self._budget <= 0:
            self._budget = self._room - await self._thread.call(self._settle, producer)
            if self._budget <= 0:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
        self._budget -= 1
        while True:
            self._raise_failure()
            try:
                producer.produce(self._topic.name, value=encode(event), partition=0, on_delivery=self._delivered)
                producer.poll(0)
                return
            except BufferError:  # the library holds as much as it may
                await self._thread.call(producer.poll, _FIRST_PAUSE_S)

    async def close(self) -> None:
        producer = await self._opened()
        producer.produce(self._topic.name, value=None, partition=0, headers=_CLOSED, on_delivery=self._delivered)
        await self._thread.call(producer.flush)
        self._raise_failure()

    async def release(self) -> None:
        try:
            if self._producer is not None:
                await self._thread.call(self._producer.flush)
                self._producer = None
        finally:
            self._thread.end()
        self._raise_failure()

    async def _opened(self) -> Producer:
        if self._producer is None:
            return await self._thread.call(self._open)
        return self._producer

    def _open(self) -> Producer:
        self._topic.create()
        self._producer = self._topic.producer()
        return self._producer

    def _settle(self, producer: Producer) -> int:
        """Wait until Kafka has what was sent; return how many events the group is not done with."""
        producer.flush()
        self._raise_failure()
        return self._topic.not_done()

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._topic.told(self._failure)


class _TopicConsumer:
    def __init__(self, topic: _Topic) -> None:
        self._topic: Final = topic
        self._thread: Final = OwnThread()
        self._source: Source | None = None
        self._fetched: Final[deque[Message]] = deque()
        self._gaps: Final[deque[Event]] = deque()
        self._handed_out: Message | None = None
        self._closed = False

    async def consume(self) -> Event | None:
        if self._closed:
            return None
        source = self._source
        if source is None:
            source = await self._thread.call(self._open)
        self._note_done(source)
        if self._gaps:
            return self._gaps.popleft()
        while not self._fetched:
            await self._thread.call(self._fetch, source)
            source.commit((), 0)
        message = self._fetched.popleft()
        if message.error() is not None:
            raise self._topic.told(message.error())
        self._handed_out = message
        value = message.value()
        if value is not None:
            return decode(value)
        if list(message.headers() or ()) != _CLOSED:
            raise KafkaRefusedError(f"{place_of(message)} is no event of ibfeed: name a topic of the queue's own")
        self._closed = True
        await self._thread.call(self._note_done, source, True)
        return None

    async def release(self) -> None:
        source, self._source = self._source, None
        try:
            if source is not None:
                await self._thread.call(self._end, source)
        finally:
            self._thread.end()

    def _open(self) -> Source:
        self._topic.create()
        # It is kept here rather than returned, so that a task which is cancelled meanwhile can still release it.
        self._source = Source(
            Settings(
                servers=self._topic.servers,
                topics=Topics(self._topic.name, books=None, events=None, contracts=None),
                start_ms=EARLIEST,
                group=self._topic.group,
                config=self._topic.config,
                commit_every_s=_COMMIT_S,
            )
        )
        for _ in self._source.table():  # it has no records; the stream is started at its end
            pass
        self._gaps.extend(self._source.gaps)
        return self._source

    def _fetch(self, source: Source) -> None:
        # A task that is cancelled meanwhile must not lose them, so they are kept here.
        self._fetched.extend(source.fetch())

    def _note_done(self, source: Source, last: bool = False) -> None:
        message, self._handed_out = self._handed_out, None
        if message is not None:
            source.commit([message], 1, last=last)

    def _end(self, source: Source) -> None:
        try:
            source.commit((), 0, last=True)
        finally:
            source.close()
