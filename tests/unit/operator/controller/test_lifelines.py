"""Lifelines on real sockets: what ends them, and what that says of a worker's process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from itertools import count

import aiohttp
import pytest
from aiohttp import web

from ibfeed_api.worker_pod import LIFELINE_PATH, WORKER_PORT
from ibfeed_operator.controller.lifelines import Lifelines, WorkerAddress

_numbers = count(1)
START = "2026-11-27T20:00:00Z"


class Process:
    """A worker's server at an address of its own."""

    def __init__(self, ip: str) -> None:
        self.ip = ip
        self.address = WorkerAddress(3, "desk/energy-3", START, ip)
        self.lines: list[web.Request] = []
        self.status = 200
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(LIFELINE_PATH, self._lifeline)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)  # to aiohttp 0 is without an end
        await self._runner.setup()
        await web.TCPSite(self._runner, self.ip, WORKER_PORT).start()

    async def end(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.lines.clear()

    def cut(self) -> None:
        """Break the connections, as a network can; the server goes on."""
        for request in self.lines:
            assert request.transport is not None
            request.transport.abort()
        self.lines.clear()

    async def _lifeline(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        self.lines.append(request)
        await asyncio.Event().wait()
        return response


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    found = Process(f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.{next(_numbers)}")
    await found.start()
    yield found
    await found.end()


@pytest.fixture
async def wakes() -> list[bool]:
    return []


@pytest.fixture
async def lifelines(wakes: list[bool]) -> AsyncIterator[Lifelines]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        found = Lifelines(http, lambda: wakes.append(True))
        yield found
        await found.close()


async def until(ask: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not ask():  # noqa: ASYNC110 - what a test waits for has no event of its own
            await asyncio.sleep(0.005)


async def test_a_process_that_ends_is_known_to_have_ended(
    lifelines: Lifelines, process: Process, wakes: list[bool]
) -> None:
    lifelines.hold({process.address})
    await until(lambda: process.lines)
    assert lifelines.ended == {}
    await process.end()
    await until(lambda: lifelines.ended)
    assert lifelines.ended == {3: START}
    assert wakes == [True]


async def test_one_that_can_be_connected_to_again_has_not_ended(
    lifelines: Lifelines, process: Process, wakes: list[bool]
) -> None:
    lifelines.hold({process.address})
    await until(lambda: process.lines)
    await process.end()
    await until(lambda: lifelines.ended)
    await process.start()
    await until(lambda: not lifelines.ended)
    assert wakes == [True, True]


async def test_a_connection_that_breaks_is_no_end(lifelines: Lifelines, process: Process, wakes: list[bool]) -> None:
    lifelines.hold({process.address})
    await until(lambda: process.lines)
    process.cut()
    await until(lambda: process.lines)
    assert (lifelines.ended, wakes) == ({}, [])


@pytest.mark.parametrize("status", [404, 503])
async def test_a_worker_without_lifelines_is_never_judged_by_them(
    lifelines: Lifelines, process: Process, wakes: list[bool], status: int
) -> None:
    """It is of an earlier version."""
    process.status = status
    lifelines.hold({process.address})
    await until(lambda: process.lines)
    await process.end()
    await asyncio.sleep(0.2)
    assert (lifelines.ended, wakes) == ({}, [])


async def test_an_address_that_nothing_is_known_of_is_not_judged(lifelines: Lifelines, wakes: list[bool]) -> None:
    """Nobody listens there, but nobody was seen to."""
    lifelines.hold({WorkerAddress(1, "desk/energy-1", START, "127.0.77.1")})
    await asyncio.sleep(0.2)
    assert (lifelines.ended, wakes) == ({}, [])


async def test_what_is_held_no_more_is_forgotten(lifelines: Lifelines, process: Process) -> None:
    lifelines.hold({process.address})
    await until(lambda: process.lines)
    await process.end()
    await until(lambda: lifelines.ended)
    lifelines.hold(set())
    assert lifelines.ended == {}
