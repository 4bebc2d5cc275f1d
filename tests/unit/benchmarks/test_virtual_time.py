"""Virtual time passes only while nothing is left to do, and all clocks agree on it."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from datapath import virtual_time
from datapath.virtual_time import Clock, Outside
from ibfeed_worker.account import login_slots


def _datetime() -> Any:
    """``datetime`` as a module of the worker's finds it."""
    return vars(login_slots)["datetime"]


START = datetime(2026, 11, 18, 12, tzinfo=UTC)


def test_a_week_passes_at_once_on_every_clock() -> None:
    async def main(clock: Clock, _: Outside) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time(), time.monotonic(), time.time(), time.time_ns(), _datetime().now(UTC).timestamp()
        await asyncio.sleep(604_800)
        after = loop.time(), time.monotonic(), time.time(), time.time_ns(), _datetime().now(UTC).timestamp()
        units = (1, 1, 1, 1e9, 1)
        assert {round((b - a) / unit) for a, b, unit in zip(before, after, units, strict=True)} == {604_800}
        assert clock.now().isoformat() == "2026-11-25T12:00:00+00:00"

    real = time.perf_counter()
    virtual_time.run(main, START)
    assert time.perf_counter() - real < 5


def test_the_real_clocks_are_back_afterwards() -> None:
    async def main(_: Clock, __: Outside) -> None: ...

    now, kind = time.time, _datetime()
    virtual_time.run(main, START)
    assert time.time is now
    assert _datetime() is kind


def test_time_stands_still_while_a_thread_works() -> None:
    async def main(clock: Clock, _: Outside) -> None:
        ticking = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.to_thread(time.sleep, 0.1)
        assert clock.elapsed < 1
        await ticking
        assert clock.elapsed >= 3600

    virtual_time.run(main, START)


def test_time_goes_no_further_than_what_is_not_answered_yet_allows() -> None:
    async def main(clock: Clock, outside: Outside) -> None:
        outside.patience_s = 5.0
        outside.sent()
        seen: list[float] = []

        def answer() -> None:
            time.sleep(0.1)
            seen.append(clock.elapsed)
            outside.answered()

        worker = threading.Thread(target=answer)
        worker.start()
        await asyncio.sleep(60)
        worker.join()
        assert seen[0] <= 5.1
        assert clock.elapsed >= 60

    virtual_time.run(main, START)


def test_a_clock_that_waits_for_what_never_comes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "_STANDS_AT_MOST_S", 0.2)

    async def main(_: Clock, outside: Outside) -> None:
        outside.sent()
        await asyncio.sleep(60)

    with pytest.raises(virtual_time.StandstillError, match="0 calls in threads, 1 answers"):
        virtual_time.run(main, START)


def test_what_is_sent_arrives_before_time_goes_on() -> None:
    async def main(clock: Clock, _: Outside) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        other = asyncio.create_task(asyncio.sleep(3600))
        for number in range(200):
            writer.write(b"%d" % number)
            assert await reader.read(100) == b"%d" % number
        assert clock.elapsed == 0
        other.cancel()
        writer.close()
        server.close()

    virtual_time.run(main, START)


def test_a_step_is_never_lost_to_rounding() -> None:
    clock = Clock(START)
    clock.advance(604_800.123456)
    before = clock.monotonic()
    clock.advance(1e-13)
    assert clock.monotonic() > before
