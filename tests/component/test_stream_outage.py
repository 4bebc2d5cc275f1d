"""A Kafka that goes away while ticks come: a broker of our own, since this one is killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from component.scripted_gateway import Gateway, entry, full, now_ms, send, serving, smd, streaming, topics, working
from component.test_stream_kafka import read_all
from ibfeed_worker.stream import Link
from support.broker import Broker

CONID = 640_000_001


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.kill()


@contextlib.asynccontextmanager
async def ticking(begin: int, sent: list[int]) -> AsyncIterator[tuple[Gateway, Link]]:
    """A gateway that sends a tick every 10 ms for as long as anybody listens; ``sent`` holds their event times."""

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+")
        await send(socket, full(CONID, begin))
        sent.append(begin)
        while True:
            await send(socket, smd(CONID, sent[-1] + 500, f31=f"{len(sent)}.25"))
            sent.append(sent[-1] + 500)
            if len(sent) % 500 == 0:
                await send(socket, {"topic": "system", "hb": now_ms()})
            await asyncio.sleep(0.01)

    async with serving(script) as served:
        yield served


@pytest.mark.parametrize("outage", ["killed and started again", "stopped for a while"])
async def test_no_tick_is_lost_or_doubled_by_an_outage_of_kafka(broker: Broker, outage: str) -> None:
    await broker.start()
    begin = now_ms() - 3_000_000
    sent: list[int] = []
    with topics(broker.servers) as kafka:
        async with ticking(begin, sent) as (_, link), working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey((entry(CONID, 0),))
            async with streaming(worker, link) as life:
                await worker.until(lambda: (worker.streamer.reports()[0].event_time or 0) > begin + 10_000)
                if outage == "killed and started again":
                    broker.kill()
                    await worker.until(lambda: not worker.streamer.kafka_status().reachable)
                    assert broker.servers in worker.streamer.kafka_status().message
                    await broker.start()
                else:
                    broker.signal(signal.SIGSTOP)
                    await asyncio.sleep(3)
                    broker.signal(signal.SIGCONT)
                away = sent[-1]
                await worker.until(lambda: (worker.streamer.reports()[0].event_time or 0) > away + 10_000, within=60)
                await worker.reachable()
                assert not life.done()
            await worker.streamer.release()
            last = worker.streamer.reports()[0].event_time
        records = read_all(kafka.topics.ticklast, broker.servers)
        events = [event.value["kind"] for event in read_all(kafka.topics.feed_events, broker.servers)]
    times = [record.value["event_time"] for record in records]
    assert times == [time for time in sent if time <= (last or 0)]
    sequence = [record.value["seq"] for record in records]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    assert "gap" not in events
