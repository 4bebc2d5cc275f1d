from __future__ import annotations

import asyncio

import pytest

from ibfeed_worker.runtime.tasks import cancel, first, to_the_end


async def leave_in_order(steps: list[str]) -> None:
    """Streams for ever; its way out takes a few turns of the loop."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        steps.append("logged out")
        await asyncio.sleep(0.01)
        steps.append("account freed")


async def test_a_second_reason_to_stop_does_not_cut_the_way_out_short() -> None:
    # A deleted IbShard ends the session, and the SIGTERM that follows at once ends the worker.
    steps: list[str] = []
    told = asyncio.Event()
    serving = asyncio.create_task(first(leave_in_order(steps), told.wait()))
    await asyncio.sleep(0)
    told.set()
    await asyncio.sleep(0.005)
    serving.cancel()
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert steps == ["logged out", "account freed"]


async def test_a_way_out_that_has_begun_by_itself_is_finished_too() -> None:
    steps: list[str] = []

    async def way_out() -> None:
        await asyncio.sleep(0.01)
        steps.append("account freed")

    leaving = asyncio.create_task(to_the_end(way_out()))
    await asyncio.sleep(0.005)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert steps == ["account freed"]


async def test_what_fails_on_the_way_out_is_told() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await to_the_end(fails())


async def test_tasks_that_failed_while_being_stopped_do_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("no")

    steps: list[str] = []
    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(leave_in_order(steps))]
    await asyncio.sleep(0)
    await cancel(*tasks)
    assert steps == ["logged out", "account freed"]
