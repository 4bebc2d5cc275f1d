"""The hand-over with a stream: which updates reach Kafka, whatever the order of events.

One contract, whose updates are numbered; each worker that is subscribed gets each of them. A planned move, turned back
or not, loses none and doubles none; where a worker crashes, some may be missing, but none comes twice or out of order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from ibfeed_api.shard import ContractState, Entry, EntryState, Report
from ibfeed_operator.planning.handover import step
from ibfeed_operator.planning.handover_state import Holding
from unit.operator.planning.test_handover import entry, report, targets

A = 0
ACTIVE, STANDBY, RETIRING = EntryState.ACTIVE, EntryState.STANDBY, EntryState.RETIRING
PUBLISHING, WARM, RELEASED = ContractState.PUBLISHING, ContractState.WARM, ContractState.RELEASED


# --- the model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """``spec``: the shard's entry; ``sees``: what of it the process obeys; ``upto``: how far it knows of records."""

    spec: Entry | None = None
    report: Report | None = None
    alive: bool = True
    fresh: bool = False  # started again, and waits for the operator to give it epochs of its own
    sees: tuple[int, EntryState] | None = None
    subscribed: bool = False
    upto: int = 0
    buffer: tuple[int, ...] = ()
    ended: int | None = None
    leaving: bool = False  # told to stop
    # Hung, or cut off from the API server, for so long that its Lease may be given away: it has stopped by itself, and
    # remembers what it has published.
    cut: bool = False

    @property
    def obeys(self) -> bool:
        return self.alive and not self.fresh and not self.cut

    @property
    def publishing(self) -> bool:
        return self.alive and self.sees is not None and self.sees[1] is ACTIVE


@dataclass(frozen=True)
class World:
    workers: tuple[Process, ...]
    target: int
    log: tuple[int, ...] = ()  # the contract's partition
    sent: int = 0
    highest_epoch: int = 0
    deaths: int = 0
    plans: int = 0
    leaves: int = 0
    cuts: int = 0

    def put(self, index: int, worker: Process) -> World:
        return replace(self, workers=(*self.workers[:index], worker, *self.workers[index + 1 :]))

    def writes(self) -> Iterator[World]:
        holdings = [
            Holding(
                worker=index,
                entries=(worker.spec,) if worker.spec else (),
                reports=(worker.report,) if worker.report else (),
                streaming=worker.obeys,
                leaving=worker.leaving,
                silent=not worker.alive or worker.cut,
                ended={} if worker.ended is None else {1: worker.ended},
            )
            for index, worker in enumerate(self.workers)
        ]
        for rewrite in step(holdings, targets({1: self.target}, highest_epoch=self.highest_epoch)):
            worker = self.workers[rewrite.worker]
            yield self.put(rewrite.worker, replace(worker, spec=rewrite.entries[0] if rewrite.entries else None))

    def write_status(self) -> World:
        epochs = [worker.spec.epoch for worker in self.workers if worker.spec]
        return replace(self, highest_epoch=max([self.highest_epoch, *epochs]))

    def append(self, *updates: int) -> World:
        for update in updates:
            last = self.log[-1] if self.log else 0
            assert update > last, f"{update} again: {self}"
            assert self.deaths or self.cuts or update == last + 1, f"lost before {update}: {self}"
            self = replace(self, log=(*self.log, update))
        return self

    def emit(self) -> World:
        world = replace(self, sent=self.sent + 1)
        for index, worker in enumerate(world.workers):
            if worker.publishing:
                world = world.put(index, replace(worker, upto=world.sent)).append(world.sent)
            elif worker.subscribed:
                world = world.put(index, replace(worker, buffer=(*worker.buffer, world.sent)))
        return world

    def obey(self, index: int) -> World:
        worker = self.workers[index]
        spec = worker.spec
        if spec is None:  # what it said before goes a moment later
            said = worker.report if worker.subscribed else None
            return self.put(index, Process(report=said, leaving=worker.leaving))
        seen = replace(worker, sees=(spec.epoch, spec.state), ended=None)
        if spec.state is STANDBY:
            return self.put(index, replace(seen, subscribed=True, report=report(1, spec.epoch, WARM)))
        if spec.state is RETIRING:
            mark = (worker.upto, 0) if worker.upto else None
            return self.put(index, replace(seen, report=report(1, spec.epoch, RELEASED, mark)))
        if worker.sees == seen.sees:
            return self.put(index, seen)
        tail = self.log[-1] if self.log else 0
        upto = max(spec.mark.event_time if spec.mark else tail, worker.upto)
        rest = [update for update in worker.buffer if update > upto]
        said = report(1, spec.epoch, PUBLISHING)
        now = replace(seen, subscribed=True, buffer=(), upto=max([upto, *rest]), report=said)
        return self.put(index, now).append(*rest)

    def die(self, index: int) -> World:
        worker = self.workers[index]
        dead = replace(worker, alive=False, sees=None, subscribed=False, buffer=(), upto=0)
        return replace(self.put(index, dead), deaths=self.deaths + 1)

    def cut(self, index: int) -> World:
        lost = replace(self.workers[index], cut=True, sees=None, subscribed=False, buffer=())
        return replace(self.put(index, lost), cuts=self.cuts + 1)

    def heal(self, index: int) -> World:
        """The zombie wakes: its last report still stands, whatever the shard says by now."""
        return self.put(index, replace(self.workers[index], cut=False))

    def leave(self, index: int) -> World:
        """Told to stop: the planner gives its contract to somebody else, as nothing is given to it."""
        target = (index + 1) % len(self.workers) if self.target == index else self.target
        world = self.put(index, replace(self.workers[index], leaving=True))
        return replace(world, target=target, leaves=self.leaves + 1)

    def end(self, index: int) -> Iterator[World]:
        """Who leaves ends once it publishes nothing; it has said so, and takes what it holds with it."""
        worker = self.workers[index]
        released = worker.report is not None and worker.report.state is RELEASED
        if worker.leaving and worker.obeys and not worker.publishing and (worker.spec is None or released):
            dead = replace(worker, alive=False, sees=None, subscribed=False, buffer=(), upto=0)
            yield self.put(index, dead)

    def restart(self, index: int) -> World:
        worker = self.workers[index]
        said = worker.report if worker.report is not None and worker.report.state is not WARM else None
        same = said is not None and worker.spec is not None and said.epoch == worker.spec.epoch
        ended = said.epoch if said is not None and same else worker.ended
        return self.put(index, Process(spec=worker.spec, fresh=True, ended=ended))

    def begin(self) -> Iterator[World]:
        """New processes go on once the operator has nothing to write any more."""
        for index, worker in enumerate(self.workers):
            if worker.fresh:
                yield self.put(index, replace(worker, fresh=False, ended=None))

    def check(self) -> None:
        assert sum(worker.spec is not None and worker.spec.state is ACTIVE for worker in self.workers) <= 1, self
        assert sum(worker.publishing for worker in self.workers) <= 1, self

    def settle(self) -> World:
        world = self
        for _ in range(20):
            before = world
            for index, worker in enumerate(world.workers):
                world = world.heal(index) if worker.cut else world
                if world.workers[index].obeys:
                    world = world.obey(index)
                world = next(world.end(index), world)
                if worker.leaving and not worker.alive:
                    world = world.restart(index)
            while (after := next(world.writes(), None)) is not None:
                world = after
                world.check()
            world = next(world.begin(), world).write_status()
            if world == before:
                return world
        raise AssertionError(f"never settles: {self}")


def wasted(before: World, after: World) -> list[int]:
    """What a worker that let go has held since, and is passed over, or told to forget while nobody else holds it."""
    present, last = set(after.log), max(after.log, default=0)
    held = [set(worker.buffer) - present if worker.alive and worker.spec else set() for worker in after.workers]
    lost: set[int] = set()
    for then, now, mine in zip(before.workers, after.workers, held, strict=True):
        if then.alive and then.spec is not None and then.spec.state is RETIRING:
            lost |= {update for update in mine if update < last}
            if now.spec is None:
                lost |= {update for update in then.buffer if update > last and not any(update in one for one in held)}
    return sorted(lost)


def explore_one_death(workers: int, *, updates: int, plans: int) -> int:
    """Visit every world in which a process dies, and stays dead. Who looks at the dead plans anew before he writes."""
    start = World(workers=(Process(spec=entry(1, 1)), *(Process() for _ in range(workers - 1))), target=A).obey(A)
    seen, todo = {start}, deque([start])
    while todo:
        world = todo.popleft()
        planned = world.workers[world.target].alive
        nexts = [*(world.writes() if planned else ()), world.write_status()]
        if world.sent < updates:
            nexts.append(world.emit())
        for index, worker in enumerate(world.workers):
            if not worker.alive:
                continue
            nexts.append(world.obey(index))
            if index != world.target and (world.plans < plans or not planned):
                nexts.append(replace(world, target=index, plans=world.plans + planned))
            if not world.deaths:
                nexts.append(world.die(index))
        for candidate in nexts:
            assert not (waste := wasted(world, candidate)), f"{waste} wasted: {world} -> {candidate}"
            if candidate not in seen:
                candidate.check()
                seen.add(candidate)
                todo.append(candidate)
    return len(seen)


def explore(workers: int, *, updates: int, plans: int, deaths: int, leaves: int, cuts: int) -> int:
    """Visit every world that is reached by so many updates, changes of plan, deaths, orders to stop and cut-offs.

    Returns how many there are.
    """
    start = World(workers=(Process(spec=entry(1, 1)), *(Process() for _ in range(workers - 1))), target=A).obey(A)
    seen, todo = {start}, deque([start])
    while todo:
        world = todo.popleft()
        writes = list(world.writes())
        nexts = [*writes, world.write_status()]
        if not writes:
            nexts.extend(world.begin())
        if world.sent < updates:
            nexts.append(world.emit())
        all_well = all(worker.alive and not worker.fresh and not worker.leaving for worker in world.workers)
        # The first may be told to stop at any moment. A rolling update takes the next once that one has been replaced:
        # nobody sleeps through all of a pod's restart.
        if all_well and world.leaves:
            all_well = not writes and all(world.obey(index) == world for index in range(workers))
        for index, worker in enumerate(world.workers):
            # Nothing is planned to go to who does not stream; where deaths are counted, anything may happen.
            if world.plans < plans and index != world.target and (not world.leaves or deaths):
                nexts.append(replace(world, target=index, plans=world.plans + 1))
            if worker.obeys:
                nexts.append(world.obey(index))
            if worker.obeys and world.cuts < cuts:
                nexts.append(world.cut(index))
            if worker.cut:
                nexts.append(world.heal(index))
            if worker.alive and world.deaths < deaths:
                nexts.append(world.die(index))
            if all_well and world.leaves < leaves:
                nexts.append(world.leave(index))
            nexts.extend(world.end(index))
            if not worker.alive:
                nexts.append(world.restart(index))
        for candidate in nexts:
            if candidate not in seen:
                candidate.check()
                seen.add(candidate)
                todo.append(candidate)
    for world in list(seen)[:: max(1, len(seen) // 2000)]:
        final = world.settle()
        if final.workers[final.target].alive:
            assert [worker.publishing for worker in final.workers].index(True) == final.target, final
            assert sum(worker.spec is not None for worker in final.workers) == 1, final
        if not final.deaths and not final.cuts:
            assert final.log == tuple(range(1, final.sent + 1)), final
    return len(seen)


@pytest.mark.parametrize(
    ("workers", "updates", "plans", "deaths", "leaves", "cuts"),
    [
        pytest.param(2, 3, 3, 0, 0, 0, id="turned back twice"),
        pytest.param(3, 2, 2, 0, 0, 0, id="another goal"),
        pytest.param(2, 2, 2, 1, 0, 0, id="a crash"),
        pytest.param(2, 2, 1, 0, 2, 0, id="one after the other is told to stop"),
        pytest.param(3, 2, 1, 0, 1, 0, id="told to stop in the middle of a move"),
        pytest.param(2, 2, 2, 0, 0, 1, id="a zombie"),
        pytest.param(2, 1, 1, 1, 0, 1, id="a zombie and a crash"),
    ],
)
def test_every_order_of_events(workers: int, updates: int, plans: int, deaths: int, leaves: int, cuts: int) -> None:
    assert explore(workers, updates=updates, plans=plans, deaths=deaths, leaves=leaves, cuts=cuts) > 1000


@pytest.mark.parametrize(("workers", "updates", "plans"), [(2, 3, 2), (3, 2, 1)])
def test_a_death_loses_nothing_that_a_living_worker_holds(workers: int, updates: int, plans: int) -> None:
    assert explore_one_death(workers, updates=updates, plans=plans) > 1000
