"""The package ``ibfeed`` against a real Kafka: where it starts and ends, what it keeps, what it releases."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import itertools
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed import kafka
from ibfeed.offsets import Place
from support.ports import free_port
from support.reader_records import CONID, FakeMessage, change, contract, feed_event, tick, tombstone
from support.stream import KAFKA

PARTITIONS = 3
BEGINNING = dt.datetime.fromtimestamp(0, dt.UTC)


@dataclass
class Feed:
    """Topics of our own, and the worker that writes to them."""

    topics: ibfeed.Topics
    group: str
    producer: Producer = field(default_factory=lambda: Producer({"bootstrap.servers": KAFKA, "log_level": 2}))

    def write(self, *messages: FakeMessage, at_ms: int = 0) -> None:
        """Write records and wait until Kafka has them. A time of 0 is now."""
        names = {
            "ticklast": self.topics.ticks,
            "l2-data": self.topics.books,
            "feed-events": self.topics.events,
            "contracts": self.topics.contracts,
        }
        told: list[KafkaError | None] = []
        for message in messages:
            self.producer.produce(
                names[message.topic()] or "",
                value=message.value(),
                key=message.key(),
                partition=CONID % PARTITIONS if message.topic() == "ticklast" else 0,
                timestamp=at_ms,
                headers=message.headers(),
                on_delivery=lambda error, _: told.append(error),
            )
        assert self.producer.flush(20) == 0
        assert told == [None] * len(messages)

    def read(self, **arguments: Any) -> ibfeed.Reader:
        return ibfeed.read(KAFKA, topics=self.topics, **arguments)

    def aread(self, **arguments: Any) -> ibfeed.AsyncReader:
        return ibfeed.aread(KAFKA, topics=self.topics, **arguments)


@pytest.fixture
def feed() -> Iterator[Feed]:
    mark = uuid.uuid4().hex[:8]
    names = [f"test-{kind}-{mark}" for kind in ("ticks", "books", "events", "contracts")]
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    wanted = [NewTopic(name, num_partitions=PARTITIONS if name == names[0] else 1) for name in names]
    for future in admin.create_topics(wanted, operation_timeout=10).values():
        future.result(15)
    try:
        yield Feed(ibfeed.Topics(*names), f"test-{mark}")
    finally:
        for future in admin.delete_topics(names, operation_timeout=10).values():
            future.exception(15)
        for future in admin.delete_consumer_groups([f"test-{mark}"], request_timeout=10).values():
            future.exception(15)  # most tests have none


def sizes(events: Iterable[ibfeed.Event]) -> list[int]:
    """The ticks among events, by their sizes, which count."""
    return [int(event.size) for event in events if isinstance(event, ibfeed.Tick)]


def threads_of_the_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def write_slowly(feed: Feed, written: list[float]) -> None:
    for count in range(1, 6):
        time.sleep(0.3)
        feed.write(tick(count))
        written.append(time.monotonic())


def settled_threads(most: int) -> int:
    """The number of threads, once it has fallen to ``most``; at the latest after 5 s."""
    deadline = time.monotonic() + 5
    while threads_of_the_process() > most and time.monotonic() < deadline:
        time.sleep(0.02)
    return threads_of_the_process()


# Where it starts and ends.


def test_record_that_comes_while_a_reader_starts_is_read(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, asked = kafka.offsets_at, list[int]()

    def racing(consumer: Consumer, places: Sequence[Place], at: int) -> dict[Place, int]:
        if at == kafka.LATEST and asked[-1:] == [0]:  # no record was found, so the end is asked for
            feed.write(tick(1))
        asked.append(at)
        return ask(consumer, places, at)

    monkeypatch.setattr(kafka, "offsets_at", racing)
    topics = ibfeed.Topics(feed.topics.ticks, books=None, events=None, contracts=None)
    with ibfeed.read(KAFKA, start=BEGINNING, topics=topics) as reader:
        (event,) = itertools.islice(reader, 1)
    assert isinstance(event, ibfeed.Tick)
    assert event.size == 1


def test_read_of_all_topics_until_now(feed: Feed) -> None:
    feed.write(
        contract(),
        contract(conid=9, symbol="CLG7"),
        tombstone(9),
        tick(1),
        tick(2),
        tick(2),
        change("snapshot", 1, bids=[("71.89", "1")]),
        change("delta", 2, bids=[("71.90", "2")]),
        feed_event("gap", conid=CONID, symbol="CLZ6", epoch=5, detail="lost"),
        feed_event("alive"),
        tick(1, conid=7, worker="metals-0"),
    )
    with feed.read(feed="energy", start=BEGINNING, until="now") as reader:
        events = list(reader)
        known = reader.contract(CONID)
    assert isinstance(events[0], ibfeed.Contract)
    kinds = [type(event).__name__ for event in events]
    assert sorted(kinds) == ["Book", "Book", "Contract", "Gap", "Status", "Tick", "Tick"]
    assert known is not None
    assert (known.currency, str(known.min_price_increment)) == ("USD", "0.01")
    ticks = [event for event in events if isinstance(event, ibfeed.Tick)]
    assert [str(event.exact("price")) for event in ticks] == ["71.90", "71.90"]
    assert all(event.contract == known for event in ticks)
    assert [event.bids for event in events if isinstance(event, ibfeed.Book)][-1] == ((71.9, 2.0), (71.89, 1.0))
    assert (reader.counters.duplicates, reader.counters.unwanted) == (1, 1)


def test_from_now_begins_when_read_returns(feed: Feed) -> None:
    feed.write(tick(1))
    with feed.read() as reader:
        feed.write(tick(2), tick(3))
        events = iter(reader)
        assert sizes([next(events), next(events)]) == [2, 3]


def test_quiet_market_is_told_at_once(feed: Feed) -> None:
    written, found = list[float](), list[float]()
    with feed.read() as reader:
        events = iter(reader)
        writer = threading.Thread(target=write_slowly, args=[feed, written])
        writer.start()
        for _ in range(5):
            assert isinstance(next(events), ibfeed.Tick)
            found.append(time.monotonic())
        writer.join()
    assert max(at - since for since, at in zip(written, found, strict=True)) < 1.0


def test_times_bound_what_is_read(feed: Feed) -> None:
    now = int(time.time() * 1000)
    for count, minutes in ((1, 90), (2, 50), (3, 20), (4, 0)):
        feed.write(tick(count), at_ms=now - minutes * 60_000)
    at = dt.datetime.fromtimestamp(now / 1000, dt.UTC)
    minute = dt.timedelta(minutes=1)
    assert sizes(feed.read(start=dt.timedelta(hours=1), until="now")) == [2, 3, 4]
    assert sizes(feed.read(start=at - 60 * minute, until=at - 10 * minute)) == [2, 3]
    assert sizes(feed.read(start=at - 30 * minute, until=at - 25 * minute)) == []


def test_end_in_the_future_ends_the_loop(feed: Feed) -> None:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
    feed.write(tick(1))
    after = int(until.timestamp() * 1000) + 5
    found = []
    for event in feed.read(start=BEGINNING, until=until):
        found.append(event)
        feed.write(tick(2), at_ms=after)
    assert sizes(found) == [1]
    assert dt.datetime.now(dt.UTC) - until < dt.timedelta(seconds=5)


def test_until_now_of_empty_topics_ends(feed: Feed) -> None:
    assert list(feed.read(start=BEGINNING, until="now")) == []


# How far it came.


def test_group_goes_on_where_it_left_off(feed: Feed) -> None:
    feed.write(*(tick(count) for count in range(1, 8)))
    first = []
    for event in feed.read(group=feed.group, start=BEGINNING):
        first.append(event)
        if len(first) == 3:
            break
    # The caller never came back for a fourth event, so the third may not have been dealt with.
    assert sizes(first) == [1, 2, 3]
    assert sizes(feed.read(group=feed.group, until="now")) == [3, 4, 5, 6, 7]
    assert sizes(feed.read(group=feed.group, until="now")) == []
    feed.write(tick(8))
    assert sizes(feed.read(group=feed.group, until="now")) == [8]


def test_loop_that_fails_gets_its_event_again(feed: Feed) -> None:
    feed.write(tick(1), tick(2), tick(3))
    with pytest.raises(ZeroDivisionError):
        for event in feed.read(group=feed.group, start=BEGINNING):
            if isinstance(event, ibfeed.Tick) and event.size == 2:
                raise ZeroDivisionError
    gc.collect()
    assert sizes(feed.read(group=feed.group, until="now")) == [2, 3]


def test_records_deleted_before_they_were_read_are_a_gap(feed: Feed) -> None:
    feed.write(tick(1), tick(2), tick(3))
    with feed.read(group=feed.group, start=BEGINNING) as reader:
        events = iter(reader)
        next(events)
        next(events)
    partition = TopicPartition(feed.topics.ticks or "", CONID % PARTITIONS, 2)
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    admin.delete_records([partition])[partition].result(15)
    gap, after = feed.read(group=feed.group, until="now")
    assert isinstance(gap, ibfeed.Gap)
    assert (gap.conid, gap.worker) == (None, "")
    assert "from offset 1 on were deleted" in gap.reason
    assert sizes([after]) == [3]


# Release.


def test_loop_goes_on_after_a_break_within_with(feed: Feed) -> None:
    feed.write(*(tick(count) for count in range(1, 5)))
    with feed.read(start=BEGINNING) as reader:
        for _ in reader:
            break
        events = iter(reader)
        assert sizes([next(events), next(events)]) == [2, 3]
    assert list(reader) == []


def test_reader_leaves_no_thread_behind(feed: Feed) -> None:
    feed.write(tick(1))
    before = threads_of_the_process()
    for _ in feed.read(start=BEGINNING):
        assert threads_of_the_process() > before
        break
    assert settled_threads(before) <= before
    with feed.read(start=BEGINNING):
        assert threads_of_the_process() > before
    assert settled_threads(before) <= before
    feed.read(start=BEGINNING).close()
    assert settled_threads(before) <= before


# asyncio.


async def test_async_reader_gives_the_same(feed: Feed) -> None:
    feed.write(contract(), tick(1), tick(1), tick(2), change("snapshot", 1, bids=[("1", "1")]))
    expected = list(feed.read(feed="energy", start=BEGINNING, until="now"))
    async with feed.aread(feed="energy", start=BEGINNING, until="now") as reader:
        found = [event async for event in reader]
        known = reader.contract(CONID)
    order = {type(event): number for number, event in enumerate(expected)}
    assert sorted(found, key=lambda event: order[type(event)]) == sorted(expected, key=lambda e: order[type(e)])
    assert known is not None
    assert reader.counters.duplicates == 1


async def test_async_group_goes_on_where_it_left_off(feed: Feed) -> None:
    feed.write(tick(1), tick(2), tick(3))
    async with feed.aread(group=feed.group, start=BEGINNING) as reader:
        async for event in reader:
            if isinstance(event, ibfeed.Tick) and event.size == 2:
                break
    assert sizes([event async for event in feed.aread(group=feed.group, until="now")]) == [2, 3]


async def test_async_now_is_when_the_context_is_entered(feed: Feed) -> None:
    feed.write(tick(1))
    async with feed.aread() as reader:
        feed.write(tick(2))
        assert sizes([await anext(aiter(reader))]) == [2]


async def follow(feed: Feed, found: list[ibfeed.Event], first: asyncio.Event) -> None:
    async with feed.aread(start=BEGINNING) as reader:
        async for event in reader:
            found.append(event)
            first.set()


@pytest.mark.parametrize("pause", [0.0, 0.02, 0.1, 0.4])
async def test_task_cancelled_while_it_connects_leaves_no_thread(feed: Feed, pause: float) -> None:
    before, found = threads_of_the_process(), list[ibfeed.Event]()
    task = asyncio.create_task(follow(feed, found, asyncio.Event()))
    await asyncio.sleep(pause)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert settled_threads(before) <= before


async def test_task_cancelled_while_it_waits_leaves_no_thread(feed: Feed) -> None:
    feed.write(tick(1))
    before, found, first = threads_of_the_process(), list[ibfeed.Event](), asyncio.Event()
    task = asyncio.create_task(follow(feed, found, first))
    await asyncio.wait_for(first.wait(), 20)
    await asyncio.sleep(0.3)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 2
    assert settled_threads(before) <= before
    assert sizes(found) == [1]


async def test_loop_over_an_async_reader_releases_it_at_the_end(feed: Feed) -> None:
    feed.write(tick(1))
    before = threads_of_the_process()
    async for _ in feed.aread(start=BEGINNING):
        break
    for _ in range(100):
        await asyncio.sleep(0.05)
        if threads_of_the_process() <= before:
            break
    assert threads_of_the_process() <= before


async def test_events_of_a_batch_let_other_tasks_run(feed: Feed) -> None:
    feed.write(tick(1))
    ticks, turns = 0, 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(other())
    async for _ in feed.aread(start=BEGINNING, until="now"):
        ticks += 1
    task.cancel()
    assert ticks == 1
    assert turns > 5


# Trouble.


def test_kafka_that_is_not_there_is_said_in_time() -> None:
    address = f"127.0.0.1:{free_port()}"
    before, began = threads_of_the_process(), time.monotonic()
    with pytest.raises(ibfeed.KafkaUnreachableError, match=f"{address}.*check the address"):
        ibfeed.read(address)
    assert time.monotonic() - began < 12
    assert settled_threads(before) <= before


async def test_kafka_that_is_not_there_is_said_to_async_code() -> None:
    before = threads_of_the_process()
    with pytest.raises(ibfeed.KafkaUnreachableError, match="no-such-host"):
        async with ibfeed.aread("no-such-host.invalid:9092"):
            pass
    assert settled_threads(before) <= before


def test_missing_topic_is_named(feed: Feed) -> None:
    with pytest.raises(ibfeed.MissingTopicError, match=r"topic no-such-topic on .* spec.kafka.topics"):
        ibfeed.read(KAFKA, topics=ibfeed.Topics(feed.topics.ticks, None, "no-such-topic", None))


def test_topic_that_is_left_out_is_not_read(feed: Feed) -> None:
    feed.write(tick(1), change("snapshot", 1, bids=[("1", "1")]), contract())
    topics = ibfeed.Topics(feed.topics.ticks, books=None, events=None, contracts=None)
    (event,) = ibfeed.read(KAFKA, topics=topics, start=BEGINNING, until="now")
    assert sizes([event]) == [1]


def test_property_that_is_none_is_refused(feed: Feed) -> None:
    with pytest.raises(ibfeed.KafkaRefusedError, match=r"No such configuration property.*correct config"):
        feed.read(config={"no.such.property": "1"})


def test_record_that_cannot_be_read_comes_again_until_it_is_skipped(feed: Feed) -> None:
    bad = FakeMessage("ticklast", b"7", b"{", tick().headers())
    feed.write(tick(1), bad, tick(2))
    for _ in range(2):
        with pytest.raises(ibfeed.RecordError, match=r"@1 is not as schema ticklast/2"):
            list(feed.read(group=feed.group, start=BEGINNING, until="now"))
    assert sizes(feed.read(group=feed.group, until="now", skip_unreadable=True)) == [2]
