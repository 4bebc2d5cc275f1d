"""One contract of all queues, over asyncio, a real Kafka and a real Redis."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

import ibfeed
from ibfeed.queues import kafka_topic, redis_stream
from ibfeed.queues.kafka_topic import KafkaQueue
from ibfeed.queues.redis_stream import RedisQueue
from support.ports import free_port
from support.queue_events import feed_events, trade, venue_events
from support.redis import RedisServer
from support.stream import KAFKA

EVENTS = [*feed_events(), *venue_events()]
KINDS = ("asyncio", "kafka", "redis")
LASTING = ("kafka", "redis")


class Places:
    """The queues of one test, which live in one topic or stream."""

    def __init__(self, kind: str, redis_url: str) -> None:
        self._kind = kind
        self._url = redis_url
        self.name = f"test-queue-{uuid.uuid4().hex[:8]}"
        self._queues: list[ibfeed.Queue] = []
        self.groups: set[str] = set()

    def queue(self, room: int = 1000, group: str = "one") -> ibfeed.Queue:
        """A queue as one process has it. Queues in this process are one."""
        self.groups.add(group)
        if self._kind == "asyncio":
            queue = self._queues[0] if self._queues else ibfeed.AsyncioQueue(room)
        elif self._kind == "kafka":
            queue = KafkaQueue(*self.arguments(group)[1:], room, {"log_level": 2})
        else:
            queue = RedisQueue(*self.arguments(group)[1:], room)
        self._queues.append(queue)
        return queue

    def arguments(self, group: str) -> tuple[str, str, str, str]:
        """The kind of queue, and the arguments of its class before the room."""
        if self._kind == "kafka":
            return self._kind, KAFKA, self.name, f"{self.name}-{group}"
        return self._kind, self._url, self.name, group

    async def clear(self) -> None:
        for queue in self._queues:
            await queue.release()
        if self._kind == "kafka":
            admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
            await asyncio.to_thread(lambda: admin.delete_topics([self.name])[self.name].exception(15))
            groups = [f"{self.name}-{group}" for group in self.groups]
            for future in admin.delete_consumer_groups(groups, request_timeout=10).values():
                await asyncio.to_thread(future.exception, 15)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def places(request: pytest.FixtureRequest, server: RedisServer) -> AsyncIterator[Places]:
    places = Places(request.param, server.url)
    yield places
    await places.clear()


async def all_of(queue: ibfeed.Queue) -> list[ibfeed.Event]:
    events = []
    async with asyncio.timeout(30):
        while (event := await queue.consume()) is not None:
            events.append(event)
    return events


async def some_of(queue: ibfeed.Queue, count: int) -> list[ibfeed.Event]:
    async with asyncio.timeout(30):
        found = [await queue.consume() for _ in range(count)]
    assert None not in found
    return [event for event in found if event is not None]


@pytest.mark.parametrize("places", KINDS, indirect=True)
async def test_events_come_in_order_and_as_they_were(places: Places) -> None:
    events = [*EVENTS, *(trade(number) for number in range(2, 800))]
    publisher = places.queue()
    for event in events:
        await publisher.publish(event)
    await publisher.close()
    found = await all_of(places.queue())
    assert found == events
    assert repr(found) == repr(events)


@pytest.mark.parametrize("places", KINDS, indirect=True)
async def test_full_queue_makes_the_publisher_wait(places: Places) -> None:
    publisher = places.queue(room=3)
    for number in range(3):
        await publisher.publish(trade(number))
    waiting = asyncio.create_task(publisher.publish(trade(3)))
    done, _ = await asyncio.wait([waiting], timeout=0.5)
    assert not done
    consumer = places.queue(room=3)
    found = await some_of(consumer, 2)
    await asyncio.wait_for(waiting, 10)
    found += await some_of(consumer, 2)
    assert found == [trade(number) for number in range(4)]


@pytest.mark.parametrize("places", KINDS, indirect=True)
async def test_each_consumer_sees_the_end(places: Places) -> None:
    publisher = places.queue(group="one")
    consumers = [places.queue(group="one"), places.queue(group="two")]
    waiting = [asyncio.create_task(all_of(consumer)) for consumer in consumers]
    await publisher.publish(trade(1))
    await publisher.close()
    found = await asyncio.gather(*waiting)
    assert trade(1) in found[0] + found[1]
    assert [await consumer.consume() for consumer in consumers] == [None, None]


@pytest.mark.parametrize("places", KINDS, indirect=True)
async def test_cancelled_consumer_loses_no_event(places: Places) -> None:
    publisher, consumer = places.queue(), places.queue()
    found: list[ibfeed.Event | None] = []
    for number in range(20):
        waiting = asyncio.create_task(consumer.consume())
        await asyncio.sleep(0.002 * (number % 5))  # so that some of the answers are on their way
        publishing = asyncio.create_task(publisher.publish(trade(number)))
        await asyncio.sleep(0.001 * (number % 4))
        waiting.cancel()
        await asyncio.wait([waiting, publishing])
        found += [] if waiting.cancelled() else [waiting.result()]
    await publisher.close()
    assert found + await all_of(consumer) == [trade(number) for number in range(20)]


@pytest.mark.parametrize("places", LASTING, indirect=True)
async def test_event_that_was_not_done_comes_again(places: Places) -> None:
    publisher, first = places.queue(), places.queue()
    for number in range(5):
        await publisher.publish(trade(number))
    await some_of(first, 3)  # 0 and 1 are done with, 2 is not
    await first.release()
    await publisher.close()
    assert await all_of(places.queue()) == [trade(number) for number in (2, 3, 4)]


READER = """
import asyncio, sys
from ibfeed.queues.kafka_topic import KafkaQueue
from ibfeed.queues.redis_stream import RedisQueue

async def main(kind, *arguments):
    queue = {"kafka": KafkaQueue, "redis": RedisQueue}[kind](*arguments, 1000)
    while True:
        print((await queue.consume()).seq, flush=True)
        await asyncio.sleep(0.005)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("places", LASTING, indirect=True)
async def test_killed_consumer_loses_no_event(places: Places) -> None:
    publisher = places.queue()
    for number in range(400):
        await publisher.publish(trade(number))
    await publisher.close()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READER, *places.arguments("one")),
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    seen = [int(await asyncio.wait_for(process.stdout.readline(), 30)) for _ in range(100)]
    process.kill()
    seen += [int(line) for line in (await process.communicate())[0].split()]
    again = [event.seq for event in await all_of(places.queue()) if isinstance(event, ibfeed.Trade)]
    assert seen == list(range(len(seen)))
    assert again == list(range(again[0], 400))
    assert 0 < again[0] <= len(seen)  # what was done is told while it runs, and nothing is left out


@pytest.mark.parametrize("places", LASTING, indirect=True)
async def test_queue_goes_on_after_an_end(places: Places) -> None:
    publisher = places.queue()
    await publisher.publish(trade(1))
    await publisher.close()
    assert await all_of(places.queue()) == [trade(1)]
    publisher = places.queue()
    await publisher.publish(trade(2))
    await publisher.close()
    assert await all_of(places.queue()) == [trade(2)]


@pytest.mark.parametrize("places", KINDS, indirect=True)
async def test_full_queue_can_be_closed(places: Places) -> None:
    queue = places.queue(room=1)
    await queue.publish(trade(1))
    await asyncio.wait_for(queue.close(), 10)
    assert await all_of(queue) == [trade(1)]


@pytest.mark.parametrize("places", ["kafka"], indirect=True)
async def test_released_publisher_has_sent_all(places: Places) -> None:
    publisher = places.queue()
    for number in range(200):
        await publisher.publish(trade(number))
    await publisher.release()
    assert len(await some_of(places.queue(), 200)) == 200


@pytest.mark.parametrize("places", ["kafka"], indirect=True)
async def test_events_that_kafka_deleted_are_told_as_a_gap(places: Places) -> None:
    publisher, first = places.queue(), places.queue()
    for number in range(5):
        await publisher.publish(trade(number))
    await publisher.close()
    await some_of(first, 2)
    await first.release()
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    end = TopicPartition(places.name, 0, 4)
    await asyncio.to_thread(admin.delete_records([end])[end].result, 15)
    gap, *left = await all_of(places.queue())
    assert isinstance(gap, ibfeed.Gap)
    assert "from offset 1 on were deleted before they were read" in gap.reason
    assert left == [trade(4)]


@pytest.mark.parametrize("places", ["redis"], indirect=True)
async def test_entry_that_was_removed_is_told_as_a_gap(places: Places, server: RedisServer) -> None:
    publisher, first = places.queue(), places.queue()
    for number in range(3):
        await publisher.publish(trade(number))
    await publisher.close()
    await some_of(first, 2)
    await first.release()
    with server.client() as client:
        entries: Any = client.xrange(places.name)
        client.xdel(places.name, entries[1][0])
    gap, *left = await all_of(places.queue())
    assert isinstance(gap, ibfeed.Gap)
    assert "was removed before it was read" in gap.reason
    assert left == [trade(2)]


@pytest.mark.parametrize("places", ["redis"], indirect=True)
async def test_answer_on_its_way_survives_a_cancelled_consumer(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    queue: Any = places.queue()
    await queue.publish(trade(1))
    ask, arrived = queue._redis.xreadgroup, asyncio.Event()

    async def slow(*arguments: Any, **named: Any) -> Any:
        answer = await ask(*arguments, **named)
        if list(redis_stream._entries(answer)):
            arrived.set()
        await asyncio.sleep(0.05)
        return answer

    monkeypatch.setattr(queue._redis, "xreadgroup", slow)
    waiting = asyncio.create_task(queue.consume())
    await asyncio.wait_for(arrived.wait(), 10)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await asyncio.wait_for(queue.consume(), 5) == trade(1)


@pytest.mark.parametrize("places", ["redis"], indirect=True)
async def test_answer_that_gets_lost_is_asked_for_again(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    queue: Any = places.queue()
    for number in range(3):
        await queue.publish(trade(number))
    assert await queue.consume() == trade(0)  # the others are fetched
    await queue.publish(trade(3))
    ask, lost = queue._redis.xreadgroup, list[int]()

    async def losing(*arguments: Any, **named: Any) -> Any:
        answer = await ask(*arguments, **named)
        if not lost:
            lost.append(len(list(redis_stream._entries(answer))))
            raise redis.ConnectionError("it broke")
        return answer

    monkeypatch.setattr(queue._redis, "xreadgroup", losing)
    assert await some_of(queue, 3) == [trade(1), trade(2), trade(3)]
    assert lost == [1]
    await queue.publish(trade(4))
    assert await some_of(queue, 1) == [trade(4)]


async def test_redis_keeps_only_what_is_not_done(server: RedisServer) -> None:
    queue = RedisQueue(server.url, "bounded", "one", room=10)
    consumer = RedisQueue(server.url, "bounded", "one", room=10)
    for number in range(100):
        await queue.publish(trade(number))
        await consumer.consume()
    with redis.Redis.from_url(server.url) as client:
        assert client.xlen("bounded") <= 21
    await queue.release()
    await consumer.release()


async def test_outage_of_redis_is_bridged(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        queue = RedisQueue(server.url, "outage", "one", room=100)
        await queue.publish(trade(1))
        consuming = asyncio.create_task(some_of(queue, 3))
        server.kill()
        publishing = asyncio.create_task(queue.publish(trade(2)))
        await asyncio.sleep(0.2)
        assert not publishing.done()
        server.start()
        await asyncio.wait_for(publishing, 20)
        await queue.publish(trade(3))
        assert await consuming == [trade(1), trade(2), trade(3)]
        await queue.release()


async def test_redis_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_stream, "AWAY_S", 0.3)
    port = free_port()
    queue = RedisQueue(f"redis://user:secret@127.0.0.1:{port}", "any", "one", room=1)
    with pytest.raises(ibfeed.RedisUnreachableError, match="check its address") as caught:
        await queue.publish(trade(1))
    assert "secret" not in str(caught.value)
    await queue.release()


async def test_redis_that_refuses_is_said_at_once(server: RedisServer) -> None:
    queue = RedisQueue(server.url.replace("//", "//nobody:secret@"), "any", "one", room=1)
    with pytest.raises(ibfeed.RedisRefusedError, match="check user and password") as caught:
        async with asyncio.timeout(5):
            await queue.publish(trade(1))
    assert "secret" not in str(caught.value)
    await queue.release()


async def test_redis_url_is_not_shown() -> None:
    with pytest.raises(ibfeed.RedisRefusedError, match="has to be like redis://") as caught:
        RedisQueue("http://user:secret@host", "any", "one", room=1)
    assert "secret" not in str(caught.value)


async def test_kafka_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_topic, "_ANSWER_S", 1.0)
    queue = KafkaQueue(f"127.0.0.1:{free_port()}", "any", "one", 1, {"log_level": 0})
    with pytest.raises(ibfeed.KafkaUnreachableError, match="check the address"):
        await queue.publish(trade(1))
    await queue.release()


async def test_kafka_property_that_is_wrong_is_not_shown() -> None:
    queue = KafkaQueue(KAFKA, "any", "one", 1, {"security.protocol": "secret"})
    with pytest.raises(ibfeed.KafkaRefusedError, match="correct config") as caught:
        await queue.publish(trade(1))
    assert "secret" not in str(caught.value)
    await queue.release()


async def test_topic_of_several_partitions_is_refused() -> None:
    name = f"test-queue-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    admin.create_topics([NewTopic(name, num_partitions=2)], operation_timeout=10)[name].result(15)
    queue = KafkaQueue(KAFKA, name, "one", 1, {"log_level": 2})
    with pytest.raises(ibfeed.KafkaRefusedError, match="has 2 partitions"):
        await queue.publish(trade(1))
    await queue.release()
    admin.delete_topics([name])[name].result(15)


async def test_record_of_another_writer_is_refused() -> None:
    name = f"test-queue-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    admin.create_topics([NewTopic(name, num_partitions=1)], operation_timeout=10)[name].result(15)
    producer = Producer({"bootstrap.servers": KAFKA, "log_level": 2})
    producer.produce(name, value=b"hello")
    assert producer.flush(10) == 0
    queue = KafkaQueue(KAFKA, name, name, 1, {"log_level": 2})
    with pytest.raises(ibfeed.RecordError, match="is the queue ibfeed's own"):
        await asyncio.wait_for(queue.consume(), 20)
    await queue.release()
    admin.delete_topics([name])[name].result(15)
    for future in admin.delete_consumer_groups([name], request_timeout=10).values():
        future.exception(15)
