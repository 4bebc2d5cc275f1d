"""The readers: ``read`` for plain code, ``aread`` for asyncio. Both give the same guarantees."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Literal, Self

from ibfeed.events import Contract, Event
from ibfeed.kafka import Settings, Source
from ibfeed.records import Message
from ibfeed.registry import SchemaRegistry
from ibfeed.stream import Counters, EventStream, Topics, Wanted
from ibfeed.threads import OwnThread

Start = dt.datetime | dt.timedelta | None
Until = dt.datetime | Literal["now"] | None
_TOPICS: Final = Topics()


class Reader:
    """The events of a feed, in the order of each contract. ``read`` makes it.

    It is an iterable, and a context manager that releases the consumer. Without ``with``, the consumer is released
    when the loop ends, is left by ``break``, or fails. Loops over one reader go on where the one before was left.
    """

    def __init__(self, settings: Settings, stream: EventStream) -> None:
        """Connect. Raises what ``read`` raises."""
        self._stream: Final = stream
        # The generator must not refer to this object: it ends, and releases the consumer, when nothing refers to it.
        self._events: Final = _read(Source(settings), stream)
        # A generator that never ran has nothing to close; so it opens the source and waits.
        next(self._events)

    @property
    def counters(self) -> Counters:
        """The records that were read, and dropped."""
        return self._stream.counters

    def contract(self, conid: int) -> Contract | None:
        """Return the latest reference data of a contract; None if they are not known."""
        return self._stream.contracts.get(conid)

    def close(self) -> None:
        """Release the consumer. A reader that is closed has no more events."""
        self._events.close()

    def __iter__(self) -> Iterator[Event]:
        """Return the events from here on."""
        return self._events  # type: ignore[return-value]

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the consumer."""
        self.close()


def _read(source: Source, stream: EventStream) -> Generator[Event | None]:
    """Yield None once, and then the events. The consumer is released at the end, whatever it is."""
    batch: Sequence[Message] = ()
    try:
        yield None
        for records in source.table():
            stream.load_contracts(records)
        yield from _preface(source, stream)
        while not source.finished:
            batch = source.fetch()
            stream.handled = 0
            yield from stream.events(batch)
            source.commit(batch, stream.handled)
            batch = ()
    finally:
        _release(source, stream, batch)


def _preface(source: Source, stream: EventStream) -> Iterator[Event]:
    """Yield what is known at the start: records that are gone, and the contracts."""
    yield from source.gaps
    yield from stream.known_contracts()


def _release(source: Source, stream: EventStream, batch: Sequence[Message]) -> None:
    try:
        source.commit(batch, stream.handled, last=True)
    finally:
        source.close()


class AsyncReader:
    """The events of a feed for asyncio. ``aread`` makes it.

    It is an asynchronous iterable, and a context manager that connects, and at its end releases the consumer. Without
    ``async with``, it connects at the first event. One thread waits for Kafka. It ends with the reader, also if the
    task is cancelled. A task that is cancelled ends when the thread's call does: within 0.1 s, and while it connects to
    a Kafka that does not answer within 10 s.
    """

    def __init__(self, settings: Settings, stream: EventStream) -> None:
        """Create the reader; it connects later."""
        self._stream: Final = stream
        self._source: Final = _ThreadedSource(settings)
        self._events: Final = _aread(self._source, stream)

    @property
    def counters(self) -> Counters:
        """The records that were read, and dropped."""
        return self._stream.counters

    def contract(self, conid: int) -> Contract | None:
        """Return the latest reference data of a contract; None if they are not known."""
        return self._stream.contracts.get(conid)

    async def aclose(self) -> None:
        """Release the consumer and end the thread. A reader that is closed has no more events."""
        await self._events.aclose()
        await self._source.close(self._stream, ())

    def __aiter__(self) -> AsyncIterator[Event]:
        """Return the events from here on."""
        return self._events

    async def __aenter__(self) -> Self:
        """Connect. Raises what ``read`` raises."""
        try:
            await self._source.open()
        except BaseException:
            await self._source.close(self._stream, ())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the consumer and end the thread."""
        await self.aclose()


class _ThreadedSource:
    """A source whose blocking calls are made by a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._thread: Final = OwnThread()
        self.call: Final = self._thread.call
        self._source: Source | None = None
        self._closed = False

    async def open(self) -> Source:
        """Connect, if that was not done yet."""
        if self._source is None:
            return await self.call(self._connect)
        return self._source

    async def close(self, stream: EventStream, batch: Sequence[Message]) -> None:
        """Release the consumer and end the thread, if that was not done yet."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._source is not None:
                await self.call(_release, self._source, stream, batch)
        finally:
            self._thread.end()

    def _connect(self) -> Source:
        # It is kept here rather than returned, so that a task which is cancelled meanwhile can still release it.
        self._source = Source(self._settings)
        return self._source


async def _aread(threaded: _ThreadedSource, stream: EventStream) -> AsyncGenerator[Event]:
    """Yield the events. The consumer is released, and the thread ended, at the end, whatever it is."""
    batch: Sequence[Message] = ()
    try:
        source = await threaded.open()
        table = source.table()
        while (records := await threaded.call(next, table, None)) is not None:
            stream.load_contracts(records)
        for event in _preface(source, stream):
            yield event
        while not source.finished:
            batch = await threaded.call(source.fetch)
            stream.handled = 0
            with closing(stream.events(batch)) as events:
                for event in events:
                    yield event
            await threaded.call(source.commit, batch, stream.handled)
            batch = ()
    finally:
        await threaded.close(stream, batch)


def read(
    servers: str,
    *,
    feed: str | None = None,
    start: Start = None,
    until: Until = None,
    group: str | None = None,
    symbols: Collection[str] = (),
    roots: Collection[str] = (),
    topics: Topics = _TOPICS,
    skip_unreadable: bool = False,
    config: Mapping[str, Any] | None = None,
    schema_registry: SchemaRegistry | None = None,
) -> Reader:
    """Read a feed from Kafka: its contracts first, then ticks, order books, gaps and what happens to the feed.

    Each update comes once, and in the order of its contract: records that were sent twice, and records that an old
    worker sent late, are dropped and counted in ``counters``. Order books are rebuilt; a change of a book that is not
    known is held back until its next snapshot. A gap is told whichever worker noticed it. Between contracts, and
    between ticks, books and gaps, the order is Kafka's.

    Args:
        servers: Kafka's bootstrap servers, such as ``kafka:9092``.
        feed: the IbFeed; None: all that the topics have.
        start: from when on, by the time that records have in Kafka: a datetime with a time zone, or how long ago;
            None: from now. Order books of a start in the middle are known from their next snapshot on.
        until: when to end, by the same time: a datetime with a time zone (the loop ends a second after it), or
            ``"now"``; None: never.
        group: a name under which Kafka keeps how far you came, so that the next reader of this name goes on there;
            ``start`` counts where there is nothing kept. An event counts as done when you ask for the next one. So
            after a restart the last event, and up to a second of them after a crash, come again. One reader of a name
            at a time: readers do not share the partitions.
        symbols: only contracts of these symbols, such as ``CLZ6``.
        roots: only contracts of these roots, such as ``CL``.
        topics: the topics' names, if the feed names its own.
        skip_unreadable: count records that cannot be read in ``counters.unreadable``, and go on; else raise.
        config: further properties of librdkafka, such as those of a secured Kafka.
        schema_registry: of a feed with ``spec.kafka.format: Avro``.

    Raises:
        KafkaUnreachableError: no broker answers within 10 s, or later on for 30 to 40 s.
        KafkaRefusedError: Kafka refuses.
        MissingTopicError: a topic is not there.
        UnknownSchemaError: a record has a schema version that this release does not know.
        RecordError: a record cannot be decoded.
        RegistryError: the feed writes Avro, and its registry is not named, or gives no schema.
        ValueError: a time has no time zone, or the end is before the start.
    """
    settings = _settings(servers, topics, start, until, group, config, schema_registry)
    return Reader(settings, EventStream(topics, Wanted(feed, symbols, roots), skip_unreadable=skip_unreadable))


def aread(
    servers: str,
    *,
    feed: str | None = None,
    start: Start = None,
    until: Until = None,
    group: str | None = None,
    symbols: Collection[str] = (),
    roots: Collection[str] = (),
    topics: Topics = _TOPICS,
    skip_unreadable: bool = False,
    config: Mapping[str, Any] | None = None,
    schema_registry: SchemaRegistry | None = None,
) -> AsyncReader:
    """Read a feed from Kafka by ``async for``. Arguments, guarantees and errors are those of ``read``.

    A loop that is left by ``break`` releases the consumer at its next turn of the event loop. Use ``async with`` to
    have it released at a known place.
    """
    settings = _settings(servers, topics, start, until, group, config, schema_registry)
    return AsyncReader(settings, EventStream(topics, Wanted(feed, symbols, roots), skip_unreadable=skip_unreadable))


def _settings(
    servers: str,
    topics: Topics,
    start: Start,
    until: Until,
    group: str | None,
    config: Mapping[str, Any] | None,
    registry: SchemaRegistry | None = None,
) -> Settings:
    now = dt.datetime.now(dt.UTC)
    first = now - start if isinstance(start, dt.timedelta) else start
    # Kafka's times are whole milliseconds, and a record of the present one was written by now.
    last = now + dt.timedelta(milliseconds=1) if until == "now" else until
    for name, at in (("start", first), ("until", last)):
        if at is not None and at.tzinfo is None:
            raise ValueError(f"{name}={at.isoformat()} has no time zone: say which, such as tzinfo=datetime.UTC")
    if first is not None and last is not None and first > last:
        raise ValueError(f"until={last.isoformat()} is before start={first.isoformat()}")
    return Settings(
        servers=servers,
        topics=topics,
        start_ms=None if first is None else max(0, int(first.timestamp() * 1000)),
        until_ms=None if last is None else int(last.timestamp() * 1000),
        group=group,
        config=config or {},
        registry=registry,
    )
