"""The websocket's life against a scripted gateway: what is sent when, and how each end is told from the others."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp import web

from component.scripted_gateway import (
    QUICK,
    SYSTEM,
    Gateway,
    Worker,
    certificate,
    entry,
    full,
    now_ms,
    pinned,
    send,
    serving,
    streaming,
    working,
)
from ibfeed_api.feed import Kafka
from ibfeed_worker.stream import End, Link, Timing, connection
from support.fake_broker import FakeBroker


def idle(timing: Timing | None = None) -> contextlib.AbstractAsyncContextManager[Worker]:
    """A worker whose Kafka takes everything: these tests are about the other end."""
    return working(Kafka(bootstrap_servers="none:9092"), timing, FakeBroker().connect)


async def end_of(script: Any) -> Any:
    async with serving(script) as (_, link), idle(QUICK) as worker:
        return await asyncio.wait_for(worker.streamer.stream(link), 10)


async def test_says_nothing_before_the_first_system_frame_and_shows_its_session() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.3)
        await gateway.greet(socket)

    async with serving(script) as (gateway, link), idle() as worker:
        worker.streamer.obey((entry(1, 0), entry(2, 1)))
        async with streaming(worker, link):
            await gateway.hears("smd+", 2)
        assert gateway.said_before_system == []
        assert gateway.cookies == ['api={"session":"bb665d0f55b6289d70bc7380089fc96f"}']
        assert link.cookie not in repr(link)


async def test_tics_keep_the_session_alive() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        while True:
            await send(socket, {"topic": "system", "hb": now_ms()})
            await asyncio.sleep(0.2)

    async with serving(script) as (gateway, link), idle(QUICK) as worker, streaming(worker, link) as life:
        await gateway.hears("tic", 3)
        assert not life.done()


async def test_changes_of_the_shard_are_obeyed_while_streaming() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)

    async with serving(script) as (gateway, link), idle() as worker, streaming(worker, link):
        worker.streamer.obey((entry(1, 0),))
        await gateway.hears("smd+1+")
        worker.streamer.obey((entry(2, 1),))
        await gateway.hears("umd+1+{}")
        await gateway.hears("smd+2+")
        assert worker.streamer.lines_used == 1


async def test_umd_that_is_not_heeded_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_UNHEEDED_S", 0.5)

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+1+")
        while sum(said.startswith("umd+1+") for said in gateway.said) < 3:
            await send(socket, full(1, now_ms()))
            await asyncio.sleep(0.05)

    async with serving(script) as (gateway, link), idle() as worker, streaming(worker, link):
        worker.streamer.obey((entry(1, 0), entry(2, 1)))
        await gateway.hears("smd+2+")
        worker.streamer.obey((entry(2, 1),))
        await gateway.hears("umd+1+{}", 3)
        await asyncio.sleep(1)
        assert sum(said.startswith("umd+") for said in gateway.said) == 3
        samples = {s.name: s.value for family in worker.streamer.collector.collect() for s in family.samples}
        assert samples["ibfeed_unsubscribes_repeated_total"] == 2
        assert worker.streamer.lines_used == 1


async def test_partial_sts_frames_are_merged() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await send(socket, {"topic": "sts", "args": {"authenticated": False}})
        await send(socket, {"topic": "sts", "args": {"competing": True}})
        await send(socket, {"topic": "sts", "args": {"message": "x"}})

    async with serving(script) as (_, link), idle() as worker, streaming(worker, link) as life:
        await worker.until(lambda: len(worker.sessions) == 4)
        assert not life.done()
    last = worker.sessions[-1]
    assert (last.connected, last.authenticated, last.competing, last.message) == (True, False, True, "x")


async def test_a_command_that_finds_no_brokerage_session_says_that_it_is_over() -> None:
    """IB need not say it by itself: heartbeats go on, and nobody would ask before the next tickle."""

    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+1+")
        await send(socket, {"error": "Bad Request: no bridge", "code": 2})
        await send(socket, {"error": "Topic unknown smd", "code": 1})

    async with serving(script) as (_, link), idle() as worker, streaming(worker, link) as life:
        worker.streamer.obey((entry(1, 0),))
        await worker.until(lambda: len(worker.sessions) == 2)
        await asyncio.sleep(0.1)
        assert not life.done()
    assert [facts.authenticated for facts in worker.sessions] == [True, False]


async def test_no_system_frame_in_time() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await send(socket, {"topic": "act", "args": {}})

    assert (await end_of(script)).reason is End.SILENT_START


async def test_heartbeats_that_stop() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        while True:  # data alone is no heartbeat
            await send(socket, full(1, now_ms()))
            await asyncio.sleep(0.1)

    assert (await end_of(script)).reason is End.SILENT


async def test_a_dead_session() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await send(socket, {"message": "waiting for session"})

    assert (await end_of(script)).reason is End.SESSION_DEAD


async def test_a_close() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await socket.close()

    end = await end_of(script)
    assert (end.reason, end.text) == (End.CLOSED, "closed by the gateway with code 1000")


async def test_a_broken_connection() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        socket._req.transport.abort()  # type: ignore[union-attr]

    assert (await end_of(script)).reason is End.CLOSED


async def test_a_live_account_is_refused_before_anything_is_subscribed() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await send(socket, {**SYSTEM, "isPaper": False})

    async with serving(script) as (gateway, link), idle() as worker:
        worker.streamer.obey((entry(1, 0),))
        end = await asyncio.wait_for(worker.streamer.stream(link), 5)
        assert end.reason is End.NOT_PAPER
        assert gateway.said_before_system == []


async def test_a_gateway_that_is_not_there() -> None:
    async with idle() as worker:
        end = await worker.streamer.stream(Link("wss://127.0.0.1:1/v1/api/ws", pinned(certificate()[0]), "s"))
    assert end.reason is End.CONNECT_FAILED
    assert end.text.startswith("ConnectionRefusedError")


async def test_a_gateway_that_refuses_the_upgrade_is_told_by_its_status() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        raise AssertionError("never called")

    async with serving(script) as (gateway, link), idle() as worker:
        wrong = Link(gateway.url.replace("/ws", "/nothing"), link.ssl, link.cookie)
        end = await worker.streamer.stream(wrong)
    assert end.reason is End.CONNECT_FAILED
    assert "404" in end.text
    assert link.cookie not in end.text


async def test_another_certificate_than_the_pinned_one_is_refused() -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        raise AssertionError("never called")

    async with serving(script) as (gateway, link), idle() as worker:
        end = await worker.streamer.stream(Link(gateway.url, pinned(certificate()[0]), link.cookie))
    assert end.reason is End.CONNECT_FAILED
    assert gateway.connections == 0


@pytest.mark.parametrize(
    "noise", [b"", b"\xff\xfe", b"[]", b'{"topic":5}', b'{"topic":"new"}', b'{"error":"no","code":1}']
)
async def test_noise_does_not_end_the_stream(noise: bytes) -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await socket.send_bytes(noise)
        await send(socket, {"topic": "sts", "args": {"message": "after"}})

    async with serving(script) as (_, link), idle() as worker, streaming(worker, link):
        await worker.until(lambda: bool(worker.sessions) and worker.sessions[-1].message == "after")
