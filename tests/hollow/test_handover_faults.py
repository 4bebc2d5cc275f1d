"""A move goes on from wherever it was broken off.

Each write of a planned move, the operator's and the workers', is refused, cut off, left unanswered, or the last thing
that somebody did; before the API server has done it, or after. The operator and the API server are real processes, the
workers hollow. Many feeds move at once, and each has its own trouble.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from ibfeed_api import symbology
from ibfeed_api.kinds import SHARD_PLURAL
from ibfeed_api.labels import ANNOTATION_PIN
from support.faulty_api import CUT, SILENCE, Fault, FaultyApi, Write, faulty_api
from support.hollow import LEASES, NAMESPACE, PODS, SHARDS, Crew, Fate, quietly
from support.hollow_feed import FEEDS, Feed, eventually, hollow_crew, hollow_plane
from support.ledger import Ledger, ledger
from support.operator_process import QuickOperator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANES = 6
STAYS, MOVES = 1001, 1002  # conids: the first stays at worker 0, the other one goes to and fro
SYMBOLS = {conid: symbology.symbol("CL", f"2031{conid % 100:02d}") for conid in (STAYS, MOVES)}
STEPS = ("new Standby", "old Retiring", "new Active", "old gone")
UP = ("Lease made", "IbShard made", "StatefulSet of 3", "Role of 3")  # what one more worker takes besides moves
DOWN = ("StatefulSet of 2", "IbShard deleted", "Role of 2")
REFUSALS = (409, 410, 500, 503)
ANSWERS = [(answer, done) for answer in (*REFUSALS, CUT, SILENCE) for done in (False, True)]
STATEFUL_SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets"
ROLES = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles"
Case = Callable[["Lane"], Awaitable[None]]


@dataclass
class Stage:
    """``skipped``: status writes that a move turned out not to need, so that nothing could befall them."""

    crew: Crew
    api: FaultyApi
    operator: QuickOperator
    book: Ledger
    lanes: list[Lane] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    async def die(self) -> None:
        """Kill -9 of the operator, and the next container of its pod."""
        self.operator.kill()
        self.operator.start()

    async def play(self, cases: Iterable[Case]) -> int:
        """All cases, each on whichever feed is free. Returns how many there were."""
        queue = list(cases)
        count = len(queue)

        async def keep_playing(lane: Lane) -> None:
            while queue:
                await queue.pop(0)(lane)

        await asyncio.gather(*(keep_playing(lane) for lane in self.lanes))
        return count


class Lane(Feed):
    """A feed with two workers and two contracts, of which one moves when its pin does."""

    def __init__(self, stage: Stage, number: int) -> None:
        super().__init__(stage.crew, f"lane{number}")
        self.stage = stage
        self.at = 0
        self.pods = (f"{self.name}-0", f"{self.name}-1")

    async def pin(self, worker: int) -> None:
        pin = f"{SYMBOLS[STAYS]}=0,{SYMBOLS[MOVES]}={worker}"
        await self.cluster.patch(f"{FEEDS}/{self.name}", {"metadata": {"annotations": {ANNOTATION_PIN: pin}}})

    async def move(self, what: str) -> None:
        """Move the contract to the other worker.

        It is done when the contract is published there, the status says so, and nothing of the move is left.
        """
        await self.pin(1 - self.at)
        self.at = 1 - self.at
        await self.settled(what)

    async def move_despite(self, victim: str, what: str) -> None:
        """A move during which a worker dies: first the other one has everything, then the plan is reached after all."""
        await eventually(self._all_stream, within=40, what=f"{self.name}: both workers stream")
        await self.pin(1 - self.at)
        self.at = 1 - self.at
        survivor = next(pod for pod in self.pods if pod != victim)

        async def taken_over() -> object:
            return self.crew.workers[victim].process in self.crew.dead and self.published()

        goal = {STAYS: survivor, MOVES: survivor}
        await eventually(taken_over, wanted=goal, within=40, what=f"{self.name}: {what}; the other one has all")
        lease = self.crew.workers[victim].held  # that the next pod would have to wait for
        await self.cluster.patch(f"{LEASES}/{lease}", {"spec": {"holderIdentity": ""}})
        await self.cluster.delete(f"{PODS}/{victim}")  # a container that dies again and again is not trusted at once
        await self.settled(what)

    async def _all_stream(self) -> bool:
        """A process that died in the case before must not be taken for this case's."""
        return all((worker := self.crew.workers.get(pod)) is not None and worker.streams for pod in self.pods)

    async def scale(self, workers: int, at: int, what: str) -> None:
        """Two workers or three; worker ``at`` is to have the contract that moves. Done when nothing is left over."""
        await self.pin(at)
        await self.patch(workers=workers)
        self.at = at
        await self.settled(what)
        pods = [f"{self.name}-{index}" for index in range(workers)]
        await eventually(self._parts, wanted=(pods, pods, pods, workers), within=40, what=f"{self.name}: {what}: parts")

    async def _parts(self) -> object:
        """Names of the shards, of those which the workers may read, of the pods; and the StatefulSet's replicas."""
        role = json.loads(await self.cluster.get(f"{ROLES}/{self.name}-worker"))
        (rule,) = (rule for rule in role["rules"] if rule["resources"] == [f"{SHARD_PLURAL}/status"])
        replicas = json.loads(await self.cluster.get(f"{STATEFUL_SETS}/{self.name}"))["spec"]["replicas"]
        pods = [name for name, worker in self.crew.workers.items() if worker.feed == self.name]
        return sorted(await self.shards()), rule["resourceNames"], sorted(pods), replicas

    def part(self, write: Write) -> str:
        """Which part of scaling a write is, if any."""
        third = f"{self.name}-2"
        if write.method == "POST":
            kind, name = write.body.get("kind", ""), write.body.get("metadata", {}).get("name", "")
            mine = name == third or (kind == "Lease" and f"-{self.name}-" in name)
            return f"{kind} made" if mine else ""
        if write.method == "DELETE":
            return "IbShard deleted" if write.path == f"{SHARDS}/{third}" else ""
        if write.path == f"{STATEFUL_SETS}/{self.name}":
            return f"StatefulSet of {write.body['spec']['replicas']}"
        if write.path == f"{ROLES}/{self.name}-worker":
            return f"Role of {3 if third in json.dumps(write.body) else 2}"
        return ""

    async def settled(self, what: str) -> None:
        wanted = {STAYS: f"{self.name}-0", MOVES: f"{self.name}-{self.at}"}

        async def found() -> object:
            entries = [
                (entry["conid"], name, entry["state"])
                for name, shard in (await self.shards()).items()
                for entry in shard["spec"].get("contracts", ())
            ]
            return sorted(entries), self.published()

        async def told() -> object:
            contracts = (await self.read()).get("status", {}).get("contracts", ())
            return {item["conid"]: item.get("worker") for item in contracts if item.get("publishing")}

        goal = sorted((conid, pod, "Active") for conid, pod in wanted.items()), wanted
        await eventually(found, wanted=goal, within=40, what=f"{self.name}: {what}")
        await eventually(told, wanted=wanted, within=40, what=f"{self.name}: {what}; the feed's status says so")

    def step(self, write: Write, old: int) -> str:
        """Which step of the move away from worker ``old`` a write is; ``status`` or nothing, if it is none."""
        if write.path.endswith(f"/{self.name}/status"):
            return "status"
        contracts = write.body.get("spec", {}).get("contracts")
        if contracts is None or write.name not in (f"{self.name}-0", f"{self.name}-1"):
            return ""
        role = "old" if write.name == f"{self.name}-{old}" else "new"
        return f"{role} {next((entry['state'] for entry in contracts if entry['conid'] == MOVES), 'gone')}"

    def nth(self, step: str, number: int) -> Callable[[Write], bool]:
        """Holds for the ``number``-th write of a step of the next move, counted from 1."""
        old, count = self.at, itertools.count(1)
        return lambda write: self.step(write, old) == step and next(count) == number


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    with hollow_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        async with hollow_crew(plane) as crew, ledger(plane) as book, faulty_api(plane, "faulty") as api:
            stage = Stage(crew, api, QuickOperator(plane, api.kubeconfig), book)
            stage.operator.start()
            keeping = asyncio.create_task(_keep(stage.operator))
            try:
                stage.lanes = [Lane(stage, number) for number in range(LANES)]
                await asyncio.gather(*(_set_up(lane) for lane in stage.lanes))
                yield stage
            finally:
                await quietly(keeping)
                stage.operator.close()


async def _keep(operator: QuickOperator) -> None:
    """The kubelet's part: an operator that could not renew its Lease ends itself, as on a machine that is too busy."""
    while True:
        await asyncio.sleep(0.5)
        operator.keep()


async def _set_up(lane: Lane) -> None:
    await lane.apply(roots=[{"symbol": "CL"}], frontMonths=2, workers=2, rebalance="Never")
    await lane.ready(2, within=120)
    await lane.pin(0)
    await lane.settled("both contracts are at worker 0")


@pytest.fixture(autouse=True)
def _one_owner(stage: Stage) -> Any:
    yield
    assert stage.crew.doubles[:3] == []
    assert stage.book.faults[:3] == []


def _lost(stage: Stage) -> list[str]:
    return [hole for lane in stage.lanes for hole in stage.crew.lost(lane.name)]


async def test_what_a_move_writes(stage: Stage) -> None:
    """Undisturbed. The other tests break off each of these."""
    lane = stage.lanes[0]
    for old in (0, 1):
        begin = len(stage.api.writes)
        await lane.move("an undisturbed move")
        steps = [lane.step(write, old) for write in stage.api.writes[begin:]]
        moves = [step for step in steps if step not in ("", "status")]
        # A write that meets a worker's own comes again.
        assert [step for step, _ in itertools.groupby(moves)] == list(STEPS)
        assert "status" in steps
    assert _lost(stage) == []


def _fault_cases(stage: Stage) -> Iterable[Case]:
    writes = [*((step, 1) for step in STEPS), *(("status", number) for number in (1, 2))]
    for (answer, done), (step, number) in itertools.product(ANSWERS, writes):
        yield _fault_case(stage, step, number, {"answer": answer, "done": done}, f"{answer} {done}")
    for done, (step, number) in itertools.product((False, True), writes):
        yield _fault_case(
            stage,
            step,
            number,
            {"answer": CUT, "done": done, "after": stage.die},
            f"the operator is killed, the write {'done' if done else 'not done'}",
        )


def _fault_case(stage: Stage, step: str, number: int, fault_of: dict[str, Any], what: str) -> Case:
    async def case(lane: Lane) -> None:
        fault = Fault(lane.nth(step, number), **fault_of)
        stage.api.faults.append(fault)
        await lane.move(f"{step} #{number}: {what}")
        if not fault.fired and step == "status":
            await asyncio.sleep(0.5)
        stage.api.faults.remove(fault)
        if not fault.fired:
            stage.skipped[f"{step} #{number}"] += 1

    return case


async def test_every_write_of_the_operator_in_every_way(stage: Stage) -> None:
    count = await stage.play(_fault_cases(stage))
    assert _lost(stage) == []
    assert count == (6 * 2 + 2) * 6
    assert set(stage.skipped) <= {"status #2"}, stage.skipped


def _death_cases(stage: Stage) -> Iterable[Case]:
    for step, role, done in itertools.product(STEPS, ("old", "new"), (False, True)):
        yield _death_case(stage, step, role, done=done)
    for (by, state), role, written in itertools.product(
        (("new", "warm"), ("old", "released"), ("new", "publishing")), ("old", "new"), (False, True)
    ):
        yield _own_death_case(stage, by, state, role, written=written)


def _death_case(stage: Stage, step: str, role: str, *, done: bool) -> Case:
    """A worker dies as the operator writes: the write comes right after the death, or right before it."""

    async def case(lane: Lane) -> None:
        victim = f"{lane.name}-{lane.at if role == 'old' else 1 - lane.at}"

        async def die() -> None:
            await stage.crew.kill(victim)

        fault = Fault(lane.nth(step, 1), before=None if done else die, after=die if done else None)
        stage.api.faults.append(fault)
        await lane.move_despite(victim, f"the {role} worker dies {'after' if done else 'before'} {step}")
        assert fault.fired

    return case


def _own_death_case(stage: Stage, by: str, state: str, role: str, *, written: bool) -> Case:
    """A worker dies as one of the two reports: right before or right after it is written."""

    async def case(lane: Lane) -> None:
        workers = {"old": f"{lane.name}-{lane.at}", "new": f"{lane.name}-{1 - lane.at}"}
        fate = Fate(workers[by], MOVES, state, workers[role], written)
        stage.crew.fates.append(fate)
        when = "after" if written else "before"
        await lane.move_despite(workers[role], f"the {role} worker dies {when} the {by} one reports {state}")
        assert fate not in stage.crew.fates

    return case


async def test_death_of_either_worker_at_each_step_loses_only_what_nobody_had(stage: Stage) -> None:
    count = await stage.play(_death_cases(stage))
    assert count == 2 * 2 * (4 + 3)
    assert [hole for lane in stage.lanes for hole in stage.crew.lost_though_had(lane.name)][:3] == []


async def test_what_scaling_writes(stage: Stage) -> None:
    """Undisturbed. The next test breaks off each of these."""
    lane = stage.lanes[0]
    for workers, at, parts in ((3, 2, UP), (2, 1, DOWN)):
        begin = len(stage.api.writes)
        await lane.scale(workers, at, "undisturbed scaling")
        # Each minute all children are applied as they are: those before the change may come, too.
        assert set(parts) <= {lane.part(write) for write in stage.api.writes[begin:]}


def _scaling_cases(stage: Stage) -> Iterable[Case]:
    faults: list[tuple[str, dict[str, Any]]] = [
        (f"{answer} {done}", {"answer": answer, "done": done}) for answer, done in ANSWERS
    ]
    faults += [(f"killed {done}", {"answer": CUT, "done": done, "after": stage.die}) for done in (False, True)]
    for (what, fault), (up, down) in itertools.product(faults, itertools.zip_longest(UP[1:], DOWN)):
        yield _scaling_case(stage, up, down, fault, what)


def _scaling_case(stage: Stage, up: str, down: str, fault_of: dict[str, Any], what: str) -> Case:
    async def case(lane: Lane) -> None:
        for workers, at, part in ((3, 2, up), (2, 1, down)):

            def is_part(write: Write, part: str = part) -> bool:
                return lane.part(write) == part

            fault = Fault(is_part, **fault_of)
            stage.api.faults.append(fault)
            await lane.scale(workers, at, f"{part}: {what}")
            stage.api.faults.remove(fault)
            assert fault.fired, part

    return case


async def test_every_write_of_scaling_in_every_way(stage: Stage) -> None:
    """A third worker comes, gets a contract, and goes: nothing is lost by it, nor left over."""
    before = {lane.name: len(stage.crew.lost(lane.name)) for lane in stage.lanes}
    count = await stage.play(_scaling_cases(stage))
    assert count == (6 * 2 + 2) * 3
    assert {lane.name: len(stage.crew.lost(lane.name)) for lane in stage.lanes} == before


async def test_what_a_failed_write_was_to_replace_is_written_again(stage: Stage) -> None:
    """Refused though it was done, and then what was there before is wanted after all."""
    lane = stage.lanes[0]
    await lane.scale(3, 2, "up")
    again = Fault(lambda write: lane.part(write) == "Role of 2", answer=500, after=lambda: lane.patch(workers=3))
    stage.api.faults.append(again)
    await lane.pin(1)
    await lane.patch(workers=2)
    await eventually(lambda: _fired(again), within=20, what="the role of two is written and refused")
    await lane.scale(3, 2, "up again")
    stage.api.faults.remove(again)
    await lane.scale(2, 1, "down")


async def _fired(fault: Fault) -> bool:
    return fault.fired


async def test_watches_that_end_or_expire_in_the_middle_of_moves(stage: Stage) -> None:
    """The operator looks for itself every two seconds, whatever its watches bring."""
    ended = 0

    async def disturb() -> None:
        nonlocal ended
        for gone in itertools.cycle((True, False)):
            await asyncio.sleep(0.2)
            ended += await stage.api.drop_watches(gone=gone)

    before = {lane.name: len(stage.crew.lost(lane.name)) for lane in stage.lanes}
    disturbing = asyncio.create_task(disturb())
    try:
        for _ in range(2):
            await asyncio.gather(*(lane.move("a move while watches end") for lane in stage.lanes))
    finally:
        await quietly(disturbing)
    assert ended > 10
    assert {lane.name: len(stage.crew.lost(lane.name)) for lane in stage.lanes} == before


async def test_log_has_no_traceback(stage: Stage) -> None:
    log = stage.operator.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
