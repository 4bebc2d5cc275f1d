"""Parts of the worker that end although they should not: none of them unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.leaseholder import acquire_lease
from ibfeed_worker.runtime.failures import Failures, PartFailedError
from ibfeed_worker.shard.watch import ShardWatcher
from support.failsafe import Members


async def failure(failures: Failures) -> str:
    with pytest.raises(PartFailedError) as caught:
        await asyncio.wait_for(failures.first(), 10)
    return str(caught.value)


async def test_a_callback_that_fails_is_heard() -> None:
    failures = Failures()
    failures.listen()
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    assert "its part a callback failed, and it starts again: ZeroDivisionError" in await failure(failures)


async def test_a_task_that_nobody_asks_for_is_heard() -> None:
    failures = Failures()
    failures.listen()

    async def fail() -> None:
        raise RuntimeError("unseen")

    asyncio.create_task(fail(), name="orphan")  # noqa: RUF006 - it is forgotten on purpose
    assert "its part orphan failed, and it starts again: RuntimeError: unseen" in await failure(failures)


async def test_a_failing_connection_is_its_owners_business() -> None:
    failures = Failures()
    failures.listen()
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "Fatal read error", "exception": OSError("gone"), "transport": object()})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(failures.first(), 0.1)


async def test_the_first_failure_counts() -> None:
    failures = Failures()
    failures.tell("one", RuntimeError("first"))
    failures.tell("two", RuntimeError("second"))
    assert "its part one failed" in await failure(failures)


async def test_a_task_that_is_cancelled_has_not_failed() -> None:
    failures = Failures()
    task = asyncio.create_task(asyncio.sleep(60), name="lease")
    task.add_done_callback(failures.of_task)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(failures.first(), 0.1)


class OddShards:
    """An API server whose object is no IbShard."""

    def list_shard(self, name: str) -> tuple[dict[str, Any] | None, str]:
        return {"spec": {}}, "1"  # without metadata

    def watch_shard(self, name: str, since: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return iter(())


async def test_the_thread_that_follows_the_shard_is_heard() -> None:
    failures = Failures()
    watcher = ShardWatcher(OddShards(), "energy-0", lambda _: None, lambda error: failures.of_thread("shard", error))
    watcher.start()
    assert "its part shard failed, and it starts again: KeyError: 'metadata'" in await failure(failures)


class OddLeases:
    """An API server that answers a renewal with something else."""

    def __init__(self) -> None:
        self.patched = 0

    async def read_lease(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "resourceVersion": "1"}, "spec": {}}

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self.patched += 1
        holder = {"holderIdentity": "energy-0_uid"}
        return {} if self.patched == 2 else {"metadata": {"name": name, "resourceVersion": "2"}, "spec": holder}


class NoSwitch:
    def arm(self, at: float) -> None: ...

    def disarm(self) -> None: ...


async def test_the_task_that_renews_the_lease_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibfeed_worker.account.leaseholder.RENEW_S", 0.01)
    failures = Failures()
    fence = Fence(NoSwitch(), lambda: None)
    hold = await acquire_lease(
        OddLeases(), "ib-account-1", "energy-0_uid", fence, lambda _: None, Members(), on_end=failures.of_task
    )
    assert "its part lease failed" in await failure(failures)
    await hold.release()
