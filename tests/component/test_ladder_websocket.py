"""The ladder's commands against a scripted gateway: what is asked when, and which rows count."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
from aiohttp import web

from component.scripted_gateway import SYSTEM, Gateway, Worker, entry, now_ms, send, serving, smd, streaming, working
from ibfeed_api.feed import Kafka
from ibfeed_api.shard import Entry
from ibfeed_worker.stream import End
from ibfeed_worker.stream.frame import decode
from support.fake_broker import FakeBroker

ACT = {"topic": "act", "args": {"accounts": ["DU7", "DU123"], "selectedAccount": "DU123"}}


def deep(conid: int, exchange: str = "") -> Entry:
    return msgspec.structs.replace(entry(conid, conid), depth=True, exchange=exchange)


def rows(conid: int, size: int, exchange: str = "") -> dict[str, Any]:
    """One row of a ladder, under a topic of three parts or, with an exchange, four."""
    topic = f"sbd+DU123+{conid}" + (f"+{exchange}" if exchange else "")
    return {"topic": topic, "data": [{"row": 0, "focus": 0, "price": "71.90", "bid": str(size)}]}


def idle(broker: FakeBroker) -> contextlib.AbstractAsyncContextManager[Worker]:
    return working(Kafka(bootstrap_servers="none:9092"), None, broker.connect)


def books(broker: FakeBroker) -> list[tuple[int, str, list[Any]]]:
    values = [record.value for record in broker.produced if record.topic == "l2-data"]
    return [(value["conid"], value["kind"], value["bids"]) for value in values]


def depth_commands(gateway: Gateway) -> list[str]:
    return [said for said in gateway.said if said.startswith(("sbd", "ubd"))]


async def test_the_ladder_waits_for_the_accounts_name() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        gateway.greeted = True
        await send(socket, SYSTEM)
        await gateway.hears("smd+")
        await asyncio.sleep(0.2)
        assert depth_commands(gateway) == []
        await send(socket, ACT)

    async with serving(script) as (gateway, link), idle(FakeBroker()) as worker:
        worker.streamer.obey((deep(1, "NYMEX"),))
        async with streaming(worker, link):
            await gateway.hears("sbd+")
        assert depth_commands(gateway) == ["sbd+DU123+1+NYMEX"]


async def test_a_change_of_the_ladder_ends_the_old_one_and_ignores_its_late_rows() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("sbd+DU123+1")
        await send(socket, rows(1, 5))
        await gateway.hears("sbd+DU123+2")
        await send(socket, rows(1, 6))
        await send(socket, rows(2, 7, "NYMEX"))

    broker = FakeBroker()
    async with serving(script) as (gateway, link), idle(broker) as worker:
        await worker.reachable()
        worker.streamer.obey((deep(1), entry(2, 2)))
        async with streaming(worker, link):
            await worker.until(lambda: (1, "snapshot", [[71.9, 5]]) in books(broker))
            worker.streamer.obey((entry(1, 1), deep(2)))
            await worker.until(lambda: (2, "snapshot", [[71.9, 7]]) in books(broker))
            await worker.streamer.release(1.0)
            await gateway.hears("ubd+DU123", 2)
        assert depth_commands(gateway) == ["sbd+DU123+1", "ubd+DU123", "sbd+DU123+2", "ubd+DU123"]
    assert [kind for conid, kind, _ in books(broker) if conid == 1] == ["clear", "snapshot", "clear"]


async def test_after_a_lost_connection_the_ladder_is_asked_for_again() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        life = gateway.connections
        await gateway.greet(socket)
        await gateway.hears("sbd+", life)
        await send(socket, rows(1, life))
        await asyncio.sleep(0.1)
        await socket.close()

    broker = FakeBroker()
    async with serving(script) as (gateway, link), idle(broker) as worker:
        await worker.reachable()
        worker.streamer.obey((deep(1),))
        for _ in range(2):
            assert (await asyncio.wait_for(worker.streamer.stream(link), 10)).reason is End.CLOSED
        assert depth_commands(gateway) == ["sbd+DU123+1"] * 2
    assert [kind for _, kind, _ in books(broker)] == ["clear", "snapshot", "clear", "snapshot", "clear"]


async def test_a_dead_ladder_is_ended_and_asked_for_again() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("sbd+")
        await send(socket, rows(1, 5))
        await gateway.hears("sbd+", 2)
        await send(socket, rows(1, 6))

    broker = FakeBroker()
    async with serving(script) as (gateway, link), idle(broker) as worker:
        await worker.reachable()
        worker.streamer.obey((deep(1),))
        async with streaming(worker, link):
            await worker.until(lambda: (1, "snapshot", [[71.9, 5]]) in books(broker))
            for second in range(31):  # half a minute of quotes, as the reader would hand them on
                frame = decode(msgspec.json.encode(smd(1, now_ms(), f88=str(second + 1))))
                worker.streamer.subscriber.on_smd(frame, time.time_ns() + second * 1_000_000_000)
            await worker.until(lambda: (1, "snapshot", [[71.9, 6]]) in books(broker))
        assert depth_commands(gateway) == ["sbd+DU123+1", "ubd+DU123", "sbd+DU123+1"]


async def test_a_refused_ladder_is_counted_and_disturbs_nothing() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("sbd+")
        await send(socket, {"topic": "sbd+DU123+1", "error": "no depth for you", "code": 4})
        await send(socket, {"topic": "sbd+DU123+1", "data": []})
        await send(socket, {"topic": "sbd+DU123+1", "data": "?"})

    broker = FakeBroker()
    async with serving(script) as (_, link), idle(broker) as worker:
        await worker.reachable()
        worker.streamer.obey((deep(1),))
        async with streaming(worker, link) as life:
            await worker.until(lambda: metric(worker, "ibfeed_ladder_rows_unreadable_total") == 1)
            assert metric(worker, "ibfeed_frames_error_total") == 1
            assert not life.done()
    assert [kind for _, kind, _ in books(broker)] == ["clear"]


def metric(worker: Worker, name: str) -> float:
    samples = (sample for family in worker.streamer.collector.collect() for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == name)
