"""Two operators, one feed: one acts, whatever becomes of the other. They, and the API server, are real processes."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from support.control_plane import ControlPlane
from support.faulty_api import Fault, FaultyApi, Write, faulty_api
from support.figures import Figures
from support.hollow import Crew
from support.hollow_feed import Feed, balanced, eventually, hollow_crew, hollow_plane
from support.ledger import Ledger, ledger
from support.operator_process import Operator

LEASE = "/apis/coordination.k8s.io/v1/namespaces/ibfeed-system/leases/ibfeed-operator"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Pair:
    """Two operators, each with an API server of its own to all appearance."""

    feed: Feed
    operators: dict[str, Operator]
    apis: dict[str, FaultyApi]
    book: Ledger

    async def lease(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.feed.cluster.get(LEASE))
        return found

    async def leader(self) -> str:
        """The pod on the Lease."""
        return str((await self.lease())["spec"].get("holderIdentity", "")).partition("_")[0]

    async def others(self) -> str:
        """The pod that does not lead."""
        leader = await self.leader()
        return next(pod for pod in self.operators if pod != leader)

    async def restart(self, pod: str) -> None:
        """As a kubelet does it with a container that has ended. It stands by once it has read the Lease."""
        self.operators[pod].start()
        await asyncio.sleep(3)

    def changed(self, pod: str) -> list[Write]:
        """What this operator wrote and the API server accepted, but for its part in the election."""
        return [write for write in self.apis[pod].done if "/ibfeed-system/leases" not in write.path]

    async def moves(self, workers: int, *loads: int, within: float) -> None:
        await self.feed.patch(workers=workers)
        await self.settled(*loads, within=within)

    async def settled(self, *loads: int, within: float = 15) -> None:
        await eventually(balanced(self.feed, *loads), within=within, what=f"loads are {loads}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    with hollow_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        async with (
            hollow_crew(plane) as crew,
            ledger(plane) as book,
            faulty_api(plane, "one") as one,
            faulty_api(plane, "two") as two,
        ):
            apis = {"one": one, "two": two}
            operators = {pod: Operator(plane, pod, api.kubeconfig, kept=False) for pod, api in apis.items()}
            feed = Feed(crew, "twice")
            pair = Pair(feed, operators, apis, book)
            try:
                await _started(pair, plane, crew)
                yield pair
            finally:
                for operator in operators.values():
                    operator.kill()


async def _started(pair: Pair, plane: ControlPlane, crew: Crew) -> None:
    pair.operators["one"].start()

    async def leads() -> str:
        return await pair.leader()

    await eventually(leads, wanted="one", within=15, what="the first one leads")
    pair.operators["two"].start()
    await pair.feed.apply()
    await pair.settled(4, 4, 4, within=30)


@pytest.fixture(autouse=True)
def _sound(pair: Pair) -> Any:
    """After each test: nobody published twice, no two owners in any version, no epoch twice, nothing lost."""
    yield
    assert pair.feed.crew.doubles[:3] == []
    assert pair.book.faults[:3] == []
    assert pair.feed.crew.lost(pair.feed.name) == []


def _step(pod: str, state: str) -> Callable[[Write], bool]:
    """The write that brings an entry of ``pod``'s shard into ``state``."""

    def where(write: Write) -> bool:
        entries = write.body.get("spec", {}).get("contracts", ())
        return "/ibshards/" in write.path and write.name == pod and any(e["state"] == state for e in entries)

    return where


async def test_who_stands_by_writes_nothing(pair: Pair) -> None:
    assert pair.changed("one") != []
    assert pair.apis["two"].writes == []


async def test_an_orderly_stop_hands_over_at_once_and_moves_nothing(pair: Pair, figures: Figures) -> None:
    """As every update of the Deployment does it."""
    before, specs = pair.feed.published(), {n: s["spec"]["contracts"] for n, s in (await pair.feed.shards()).items()}
    successor = await pair.others()
    stopped = await pair.leader()
    pair.operators[stopped].signal(signal.SIGTERM)
    took = await eventually(pair.leader, wanted=successor, within=5, what="the other one leads")

    async def ended() -> int | None:
        return pair.operators[stopped].ended()

    await eventually(ended, wanted=0, within=5, what="the stopped one has ended well")
    await pair.restart(stopped)
    assert await pair.leader() == successor
    assert pair.feed.published() == before
    assert {n: s["spec"]["contracts"] for n, s in (await pair.feed.shards()).items()} == specs
    await pair.moves(4, 3, 3, 3, 3, within=15)
    await pair.moves(3, 4, 4, 4, within=15)
    note = "a crowded machine adds to it"
    figures.record("operator stopped in order, until another leads", took, bar=5, note=note)


async def test_a_leader_killed_in_the_middle_of_moves_is_succeeded(pair: Pair, figures: Figures) -> None:
    killed, successor = await pair.leader(), await pair.others()
    died = asyncio.Event()

    async def die() -> None:
        pair.operators[killed].kill()
        died.set()

    pair.apis[killed].faults.append(Fault(_step("twice-0", "Retiring"), answer=0, after=die))
    await pair.feed.patch(workers=5)
    await asyncio.wait_for(died.wait(), 15)
    took = await eventually(pair.leader, wanted=successor, within=15, what="the other one leads")
    await pair.settled(2, 2, 2, 3, 3)
    await pair.restart(killed)
    await pair.moves(3, 4, 4, 4, within=20)
    figures.record("operator killed, until another leads", took, bar=15)


async def test_a_stopped_leader_that_goes_on_changes_nothing_since_its_last_writes_come_too_late(pair: Pair) -> None:
    """One waits at the API server's door; others may be stopped on the way there, while their connections are made."""
    stopped, successor = await pair.leader(), await pair.others()
    on_its_way, delivered = asyncio.Event(), asyncio.Event()

    async def stop() -> None:
        pair.operators[stopped].signal(signal.SIGSTOP)
        on_its_way.set()
        await delivered.wait()

    late = Fault(_step("twice-0", "Retiring"), before=stop)
    pair.apis[stopped].faults.append(late)
    await pair.feed.patch(workers=4)
    await asyncio.wait_for(on_its_way.wait(), 15)
    since = time.monotonic()
    await eventually(pair.leader, wanted=successor, within=15, what="the other one leads")
    await pair.settled(3, 3, 3, 3)
    changed = len(pair.changed(stopped))
    delivered.set()
    await asyncio.sleep(max(0.0, since + 20 - time.monotonic()))
    assert late.status == 409
    pair.operators[stopped].signal(signal.SIGCONT)

    async def ended() -> int | None:
        return pair.operators[stopped].ended()

    await eventually(ended, wanted=1, within=10, what="the stopped one ends itself")
    assert pair.changed(stopped)[changed:] == []
    assert await pair.leader() == successor
    await pair.restart(stopped)
    await pair.moves(3, 4, 4, 4, within=15)


async def test_a_deleted_lease_ends_the_leader_and_is_taken_only_when_that_is_certain(pair: Pair) -> None:
    led = await pair.leader()
    await pair.feed.cluster.delete(LEASE)
    deleted = time.monotonic()

    async def ended() -> int | None:
        return pair.operators[led].ended()

    await eventually(ended, wanted=1, within=8, what="the leader ends itself")
    await pair.restart(led)

    async def anybody() -> bool:
        return bool(await pair.leader())

    await eventually(anybody, within=15, what="somebody leads")
    assert time.monotonic() - deleted > 8
    await pair.moves(4, 3, 3, 3, 3, within=15)


async def test_the_leader_stays_when_no_operator_reaches_the_api_server(pair: Pair) -> None:
    led, published = await pair.leader(), pair.feed.published()
    changed = len(pair.changed(led))
    for api in pair.apis.values():
        await api.go_away()
    await asyncio.sleep(25)  # twice as long as it takes to lose the Lease, and more
    before = str((await pair.lease())["spec"]["renewTime"])
    for api in pair.apis.values():
        api.away = False

    async def renewed() -> bool:
        return str((await pair.lease())["spec"]["renewTime"]) != before

    await eventually(renewed, within=10, what="the leader renews")
    assert await pair.leader() == led
    assert [operator.ended() for operator in pair.operators.values()] == [None, None]
    assert pair.feed.published() == published
    assert not [write for write in pair.changed(led)[changed:] if "/ibshards/" in write.path]
    await pair.moves(4, 3, 3, 3, 3, within=20)
    await pair.moves(3, 4, 4, 4, within=20)


async def test_logs_say_why_a_leader_ended_and_have_no_traceback(pair: Pair) -> None:
    log = pair.operators["one"].log.read_text()
    assert log.count("this operator no longer leads, and ends") == 2  # the stopped one, and that of the deleted Lease
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
