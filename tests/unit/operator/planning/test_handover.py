"""The hand-over, explored exhaustively in small and at random in large.

The model knows what the operator cannot: who really publishes what, and under which epoch. Workers see their shard
late, die and come back; the operator may be killed between any two of its writes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.shard import ContractState, Entry, EntryState, Mark, Report
from ibfeed_operator.model.types import Contract
from ibfeed_operator.planning.handover import Targets, step
from ibfeed_operator.planning.handover_state import Holding, current_assignment, owners
from support import build

MAX_EPOCH = 2  # 3 takes most of a minute; nothing was found there that is not found here


def contract(conid: int, depth: bool = False) -> Contract:
    return Contract(
        conid=conid,
        root="CL",
        symbol=f"CL{conid}",
        exchange="NYMEX",
        contract_month="202612",
        last_trading_day=f"202611{conid % 28 + 1:02d}",
        slot=conid,
        depth=depth,
    )


def entry(conid: int, epoch: int, state: EntryState = EntryState.ACTIVE, depth: bool = False) -> Entry:
    day = contract(conid).last_trading_day
    return build.entry(
        conid, epoch=epoch, state=state, depth=depth, slot=conid, contract_month="202612", last_trading_day=day
    )


def targets(where: dict[int, int | None], **others: Any) -> Targets:
    return Targets(
        contracts={conid: contract(conid) for conid in where},
        owners={conid: worker for conid, worker in where.items() if worker is not None},
        **others,
    )


def report(conid: int, epoch: int, state: ContractState, mark: tuple[int, int] | None = None) -> Report:
    event_time, seq = mark or (None, None)
    return Report(conid=conid, epoch=epoch, state=state, event_time=event_time, seq=seq)


# --- the model ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Worker:
    """``sees``: conid, epoch and state as this process knows its shard; ``life``: which process of the worker it is.

    ``lines``: the conids that it is subscribed to. What a process finds Retiring at its start, it never subscribes.
    ``refused``: IB answers each of its subscriptions with an error.
    """

    spec: tuple[Entry, ...] = ()
    reports: tuple[Report, ...] = ()
    alive: bool = True
    sees: tuple[tuple[int, int, EntryState], ...] = ()
    lines: frozenset[int] = frozenset()
    ended: tuple[tuple[int, int], ...] = ()
    life: int = 0
    refused: bool = False

    @property
    def publishing(self) -> dict[int, int]:
        if not self.alive:
            return {}
        return {conid: epoch for conid, epoch, state in self.sees if state is EntryState.ACTIVE}


@dataclass(frozen=True)
class World:
    workers: tuple[Worker, ...]
    where: tuple[tuple[int, int | None], ...]  # the plan
    lines: int
    warming: int = 25
    highest_epoch: int = 0  # as the feed's status remembers it
    # conid, the newest epoch it was published under, and the process (worker, life) that did: none is used twice.
    used: tuple[tuple[int, int, int, int], ...] = ()
    floor: int = 0  # the operator's clock
    strangers: tuple[tuple[int, int], ...] = ()  # conid and the highest epoch that somebody else put on the topic
    surprises: int = 0  # strangers that came, statuses that were wiped, resources that were made again
    standbys: tuple[tuple[int, int], ...] = ()  # conid and worker: the plan of hot standbys

    def holdings(self) -> list[Holding]:
        return [
            Holding(
                worker=index,
                entries=worker.spec,
                reports=worker.reports,
                silent=not worker.alive,
                ended=dict(worker.ended),
                lines=self.lines,
            )
            for index, worker in enumerate(self.workers)
        ]

    def with_worker(self, index: int, worker: Worker) -> World:
        return replace(self, workers=(*self.workers[:index], worker, *self.workers[index + 1 :]))

    def operator(self) -> Iterator[World]:
        """Each of the step's writes alone: any order and any crash in between is a path over these."""
        where = dict(self.where)
        want = targets(
            where,
            standbys={conid: worker for conid, worker in self.standbys if where[conid] not in (None, worker)},
            highest_epoch=self.highest_epoch,
            warming_at_once=self.warming,
            floor=self.floor,
        )
        for rewrite in step(self.holdings(), want):
            worker = self.workers[rewrite.worker]
            yield self.with_worker(rewrite.worker, replace(worker, spec=rewrite.entries))

    def write_status(self) -> World:
        epochs = [item.epoch for worker in self.workers for item in worker.spec]
        return replace(self, highest_epoch=max([self.highest_epoch, *epochs]))

    def obey(self, index: int) -> World:
        """The worker sees its shard as it is now, acts, and reports. What is used up on Kafka it does not publish."""
        worker = self.workers[index]
        used = {conid: (epoch, (holder, life)) for conid, epoch, holder, life in self.used}
        process = (index, worker.life)
        strangers = dict(self.strangers)
        sees, reports = [], []
        for item in worker.spec:
            newest, publisher = used.get(item.conid, (0, None))
            latest = max(newest, strangers.get(item.conid, 0))
            goes_on = (newest, publisher) == (item.epoch, process)
            if item.state is EntryState.ACTIVE and item.epoch <= latest and not goes_on:
                assert self.surprises, f"{item.conid} under {item.epoch} after {latest}: {self}"
                sees.append((item.conid, item.epoch, EntryState.STANDBY))
                state = ContractState.REFUSED if worker.refused else ContractState.SUBSCRIBING
                said = report(item.conid, item.epoch, state)
                reports.append(msgspec.structs.replace(said, kafka_epoch=latest))
                continue
            sees.append((item.conid, item.epoch, item.state))
            if item.state is EntryState.RETIRING:
                reports.append(report(item.conid, item.epoch, ContractState.RELEASED))
            elif worker.refused:
                reports.append(report(item.conid, item.epoch, ContractState.REFUSED))
            elif item.state is EntryState.STANDBY:
                reports.append(report(item.conid, item.epoch, ContractState.WARM))
            else:
                reports.append(report(item.conid, item.epoch, ContractState.PUBLISHING))
        lines = frozenset(
            item.conid for item in worker.spec if item.state is not EntryState.RETIRING or item.conid in worker.lines
        )
        obeyed = replace(worker, sees=tuple(sees), reports=tuple(reports), lines=lines, ended=())
        world = self.with_worker(index, obeyed)
        for conid, epoch in obeyed.publishing.items():
            newest, holder = used.get(conid, (0, process))
            assert epoch > newest or (epoch == newest and holder == process), f"{conid} under {epoch} again: {self}"
            used[conid] = (epoch, process)
        return replace(world, used=tuple((conid, epoch, *process) for conid, (epoch, process) in sorted(used.items())))

    def refuse(self, index: int) -> World:
        """IB begins, or ends, to refuse what this worker subscribes."""
        worker = self.workers[index]
        return self.with_worker(index, replace(worker, refused=not worker.refused))

    def die(self, index: int) -> World:
        return self.with_worker(index, replace(self.workers[index], alive=False, sees=(), lines=frozenset()))

    def restart(self, index: int) -> World:
        """A new process. The operator has seen the old one's reports; the new one has made none."""
        worker = self.workers[index]
        ended = {item.conid: item.epoch for item in worker.reports if item.state != "warm"} | dict(worker.ended)
        current = {item.conid: item.epoch for item in worker.spec}
        ended = {conid: epoch for conid, epoch in ended.items() if current.get(conid) == epoch}
        return self.with_worker(
            index, Worker(spec=worker.spec, ended=tuple(sorted(ended.items())), life=worker.life + 1)
        )

    def wipe_status(self) -> World:
        return replace(self, highest_epoch=0, surprises=self.surprises + 1)

    def make_again(self) -> World:
        """The resource is deleted and applied: nothing is remembered but what is on Kafka."""
        workers = tuple(Worker(life=worker.life + 1) for worker in self.workers)
        return replace(self, workers=workers, highest_epoch=0, surprises=self.surprises + 1)

    def stranger(self, conid: int) -> World:
        """Another feed, or an operator whose clock was ahead, has published the contract."""
        newest = max((epoch for item, epoch, *_ in self.used if item == conid), default=0)
        strangers = {**dict(self.strangers), conid: max(dict(self.strangers).get(conid, 0), newest) + 1}
        return replace(self, strangers=tuple(sorted(strangers.items())), surprises=self.surprises + 1)

    def check(self) -> None:
        for conid, _ in self.where:
            active = [w for w in self.workers for item in w.spec if item.conid == conid and item.state == "Active"]
            assert len(active) <= 1, f"two Active entries: {self}"
            hot = [item for w in self.workers for item in w.spec if item.conid == conid and item.hot]
            assert all(item.state is EntryState.STANDBY and not item.depth for item in hot), f"{hot}: {self}"
            publishing = [w for w in self.workers if conid in w.publishing]
            assert len(publishing) <= 1, f"two workers publish {conid}: {self}"
        for worker in self.workers:
            assert len(worker.lines) <= self.lines, f"over the lines: {self}"

    def settle(self) -> World:
        """No more faults: does the plan come true?"""
        world = self
        for _ in range(60):
            before = world
            for index, worker in enumerate(world.workers):
                if worker.ended:  # a process that has not obeyed yet waits for its epochs
                    continue
                if worker.alive:
                    world = world.obey(index)
            while (after := next(world.operator(), None)) is not None:
                world = after
            world = world.write_status()
            world = replace(world, workers=tuple(replace(w, ended=()) if w.alive else w for w in world.workers))
            if world == before:
                return world
        raise AssertionError(f"never settles: {self}")


def explore(
    start: World,
    conids: range,
    *,
    lives: int,
    refusals: bool = False,
    mortal: bool = True,
    surprises: int = 0,
    epochs: int = MAX_EPOCH,
    hot: bool = False,
) -> int:
    """Visit every world that can be reached; returns how many there are.

    Unless ``mortal`` no worker dies, and no contract expires. ``hot``: standbys are planned, and planned elsewhere.
    """
    seen, todo = {start}, deque([start])
    while todo:
        world = todo.popleft()
        nexts = [*world.operator(), world.write_status()]
        for index, worker in enumerate(world.workers):
            if worker.alive:
                if not worker.ended:
                    nexts.append(world.obey(index))
                nexts += [world.die(index)] * mortal
            elif worker.life < lives:
                nexts.append(world.restart(index))
            if refusals:
                nexts.append(world.refuse(index))
        if world.surprises < surprises:
            nexts += [world.wipe_status(), world.make_again(), *(world.stranger(conid) for conid in conids)]
        for conid in conids:
            for target in (*([None] * mortal), *range(len(world.workers))):
                nexts.append(replace(world, where=tuple(sorted((dict(world.where) | {conid: target}).items()))))
                if hot:
                    nexts.append(replace(world, standbys=() if target is None else ((conid, target),)))
        # A process that waits for its epochs goes on once the operator has nothing to write to its shard any more.
        if not list(world.operator()):
            nexts.extend(
                world.with_worker(index, replace(worker, ended=()))
                for index, worker in enumerate(world.workers)
                if worker.ended
            )
        for candidate in nexts:
            if candidate in seen or any(e.epoch > epochs for w in candidate.workers for e in w.spec):
                continue
            candidate.check()
            seen.add(candidate)
            todo.append(candidate)
    for world in list(seen)[:: max(1, len(seen) // 3000)]:
        final = world.settle()
        final.check()
        for conid, target in final.where:
            if target is not None:
                check_standbys(final, conid)
            if target is None:
                assert all(item.conid != conid for w in final.workers for item in w.spec), final
            elif final.workers[target].alive and not any(worker.refused for worker in final.workers):
                load = sum(1 for _, other in final.where if other == target)
                if load <= final.lines:
                    assert conid in final.workers[target].publishing, final
    return len(seen)


def check_standbys(world: World, conid: int) -> None:
    """The standby of a contract that has settled is where the plan says, if it can be, and nowhere else."""
    goal, planned = dict(world.where)[conid], dict(world.standbys).get(conid)
    assert goal is not None
    hot = [
        index for index, worker in enumerate(world.workers) for item in worker.spec if item.conid == conid and item.hot
    ]
    if conid not in world.workers[goal].publishing or any(worker.refused for worker in world.workers):
        return
    if planned in (None, goal) or not world.workers[planned].alive:
        assert set(hot) <= {planned}, world
    elif len(world.workers[planned].spec) < world.lines:
        assert hot == [planned], world
    else:
        assert hot in ([], [planned]), world


class TestExhaustively:
    def test_one_contract_two_workers(self) -> None:
        start = World(workers=(Worker(), Worker()), where=((1, 0),), lines=5)
        assert explore(start, range(1, 2), lives=1) > 1000

    def test_one_contract_that_ib_refuses_now_and_then(self) -> None:
        start = World(workers=(Worker(), Worker()), where=((1, 0),), lines=5)
        assert explore(start, range(1, 2), lives=0, refusals=True) > 1000

    @pytest.mark.parametrize(("workers", "lines", "mortal"), [(2, 5, True), (3, 5, False), (3, 1, False)])
    def test_a_contract_with_a_hot_standby(self, workers: int, lines: int, mortal: bool) -> None:
        start = World(workers=(Worker(),) * workers, where=((1, 0),), standbys=((1, 1),), lines=lines)
        assert explore(start, range(1, 2), lives=0, mortal=mortal, hot=True) > 1000

    @pytest.mark.parametrize(("mortal", "surprises", "epochs"), [(True, 1, 2), (False, 2, 3)])
    def test_epochs_grow_on_kafka_whatever_is_forgotten(self, mortal: bool, surprises: int, epochs: int) -> None:
        """The clock stands still, so only what workers find on Kafka makes them grow."""
        start = World(workers=(Worker(), Worker()), where=((1, 0),), lines=5)
        assert explore(start, range(1, 2), lives=0, mortal=mortal, surprises=surprises, epochs=epochs) > 1000


EVENTS = [
    *("operator", "operator", "obey", "obey", "status", "die", "restart", "plan", "standby", "standby", "refuse"),
    *("clock", "wipe", "make again", "stranger"),
]


@given(
    st.integers(2, 4),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(1, 2),
    st.lists(
        st.tuples(
            st.sampled_from(EVENTS),
            st.integers(0, 20),
            st.integers(0, 20),
        ),
        max_size=80,
    ),
)
@settings(max_examples=400)
def test_at_random(workers: int, conids: int, lines: int, warming: int, events: list[tuple[str, int, int]]) -> None:
    where: dict[int, int | None] = dict.fromkeys(range(conids))
    world = World(workers=(Worker(),) * workers, where=tuple(where.items()), lines=lines, warming=warming)
    for kind, a, b in events:
        index = a % workers
        worker = world.workers[index]
        if kind == "operator":
            writes = list(world.operator())
            world = writes[b % len(writes)] if writes else world
        elif kind == "status":
            world = world.write_status()
        elif kind == "obey" and worker.alive and not worker.ended:
            world = world.obey(index)
        elif kind == "die":
            world = world.die(index)
        elif kind == "restart" and not worker.alive:
            world = world.restart(index)
        elif kind == "refuse":
            world = world.refuse(index)
        elif kind == "clock":  # it may be set back
            world = replace(world, floor=a)
        elif kind == "wipe":
            world = world.wipe_status()
        elif kind == "make again":
            world = world.make_again()
        elif kind == "stranger":
            world = world.stranger(b % conids)
        elif kind == "standby":
            planned = dict(world.standbys)
            planned.pop(b % conids, None)
            if a % (workers + 1):
                planned[b % conids] = index
            world = replace(world, standbys=tuple(sorted(planned.items())))
        elif kind == "plan":
            where = dict(world.where) | {b % conids: (None, *range(workers))[a % (workers + 1)]}
            full = any(list(where.values()).count(w) > lines for w in range(workers))
            world = world if full else replace(world, where=tuple(sorted(where.items())))
        world.check()
    final = world.settle()
    final.check()
    homes = [final.workers[target] for _, target in final.where if target is not None]
    for conid, target in final.where:
        if target is not None and final.workers[target].alive:
            # What is to go to a worker that stays dead waits where it is, and may keep others from there.
            alive = all(home.alive and not home.refused for home in homes)
            taken = (not alive and len(final.workers[target].lines) == lines) or final.workers[target].refused
            assert conid in final.workers[target].publishing or taken
        if target is not None:
            check_standbys(final, conid)


# --- single rules ------------------------------------------------------------------------------------------------


class TestHotStandby:
    """Contract 7 is Active at worker 0 under epoch 3."""

    HERE = Holding(worker=0, entries=(entry(7, 3),), reports=(report(7, 3, ContractState.PUBLISHING),))

    @staticmethod
    def ready(worker: int, epoch: int, state: ContractState = ContractState.WARM) -> Holding:
        hot = msgspec.structs.replace(entry(7, epoch, EntryState.STANDBY), hot=True)
        return Holding(worker=worker, entries=(hot,), reports=(report(7, epoch, state),))

    def test_it_stands_by_under_an_epoch_of_its_own_once_the_contract_has_settled(self) -> None:
        new = replace(self.HERE, reports=())
        assert step([new, Holding(worker=1)], targets({7: 0}, standbys={7: 1})) == ()
        (rewrite,) = step([self.HERE, Holding(worker=1)], targets({7: 0}, standbys={7: 1}))
        assert (rewrite.worker, rewrite.entries) == (1, self.ready(1, 4).entries)
        assert step([self.HERE, self.ready(1, 4)], targets({7: 0}, standbys={7: 1})) == ()

    @pytest.mark.parametrize("epoch", [4, 2])
    def test_it_goes_on_when_the_owner_is_lost(self, epoch: int) -> None:
        """Whatever epoch it has: the owner may have been given a higher one since."""
        lost = replace(self.HERE, silent=True, streaming=False)
        (retired,) = step([lost, self.ready(1, epoch)], targets({7: 1}))
        assert (retired.worker, retired.entries[0].state) == (0, EntryState.RETIRING)
        given = step([replace(lost, entries=retired.entries), self.ready(1, epoch)], targets({7: 1}))
        (heir,) = (rewrite for rewrite in given if rewrite.worker == 1)
        assert heir.entries == (entry(7, 4),)

    def test_it_goes_on_although_the_plan_says_another_worker(self) -> None:
        """That one has nothing of what came since the owner died; the move to it begins afterwards."""
        lost = replace(self.HERE, silent=True, streaming=False, entries=(entry(7, 3, EntryState.RETIRING),))
        third = Holding(worker=2)
        given = step([lost, self.ready(1, 4), third], targets({7: 2}, standbys={7: 0}))
        assert [rewrite.worker for rewrite in given if rewrite.entries and rewrite.worker != 0] == [1]

    def test_it_stays_while_its_owner_is_on_the_way_out(self) -> None:
        """The plan says another worker already; but nobody else holds what came since the owner died."""
        lost = replace(self.HERE, silent=True, streaming=False)
        want = targets({7: 2}, standbys={7: 3}, epochs={7: 9})
        (rewrite,) = step([lost, self.ready(1, 4), Holding(worker=2), Holding(worker=3)], want)
        assert (rewrite.worker, rewrite.entries[0].state) == (0, EntryState.RETIRING)

    def test_its_epoch_is_above_one_that_is_given_in_the_same_step(self) -> None:
        again = replace(self.HERE, ended={7: 3})
        given = {
            rewrite.worker: rewrite.entries[0].epoch
            for rewrite in step([again, Holding(worker=1)], targets({7: 0}, standbys={7: 1}))
        }
        assert given == {0: 4, 1: 5}

    def test_the_line_that_it_has_is_the_line_of_what_it_becomes(self) -> None:
        lost = replace(self.HERE, silent=True, streaming=False, entries=(entry(7, 3, EntryState.RETIRING),))
        heir = replace(self.ready(1, 4), lines=2)
        given = {r.worker: {e.conid for e in r.entries} for r in step([lost, heir], targets({7: 1, 8: 1}))}
        assert given[1] == {7, 8}

    def test_two_full_accounts_exchange_standbys(self) -> None:
        world = World(workers=(Worker(),) * 4, where=((1, 0), (2, 3)), lines=1, standbys=((1, 1), (2, 2))).settle()
        final = replace(world, standbys=((1, 2), (2, 1))).settle()
        final.check()
        hot = {item.conid: index for index, worker in enumerate(final.workers) for item in worker.spec if item.hot}
        assert hot == {1: 2, 2: 1}

    def test_full_accounts_exchange_contracts_in_place_of_standbys(self) -> None:
        """Each move makes before it breaks: the standbys of 3 and 4 give their lines, and come back."""
        where = ((1, 0), (2, 1), (3, 2), (4, 3))
        world = World(workers=(Worker(),) * 4, where=where, lines=2, standbys=((3, 0), (4, 1))).settle()
        world = replace(world, where=((1, 1), (2, 0), (3, 2), (4, 3)))
        for _ in range(12):
            while (after := next(world.operator(), None)) is not None:
                world = after
                for worker in world.workers:
                    entries = {item.conid: item.state for item in worker.spec}
                    for conid in (conid for conid, state in entries.items() if state is EntryState.RETIRING):
                        others = [w for w in world.workers if w is not worker and any(e.conid == conid for e in w.spec)]
                        assert others, f"{conid} broke before it made: {world}"
            for index in range(4):
                world = world.obey(index)
            world.check()
            world = world.write_status()
        assert [worker.publishing.keys() for worker in world.workers] == [{2}, {1}, {3}, {4}]
        hot = {item.conid: index for index, worker in enumerate(world.workers) for item in worker.spec if item.hot}
        assert hot == {3: 0, 4: 1}

    def test_a_cold_one_is_no_heir_of_another_plan(self) -> None:
        lost = replace(self.HERE, silent=True, streaming=False, entries=(entry(7, 3, EntryState.RETIRING),))
        cold = self.ready(1, 4, ContractState.SUBSCRIBING)
        given = {rewrite.worker: rewrite.entries for rewrite in step([lost, cold, Holding(worker=2)], targets({7: 2}))}
        assert given[2] == (entry(7, 5),)

    def test_the_old_one_stays_until_the_new_one_is_warm(self) -> None:
        want = targets({7: 0}, standbys={7: 2}, epochs={7: 9})
        old, new = self.ready(1, 4), self.ready(2, 5, ContractState.SUBSCRIBING)
        (rewrite,) = step([self.HERE, old, Holding(worker=2)], want)
        assert rewrite.worker == 2
        assert step([self.HERE, old, new], want) == ()
        (rewrite,) = step([self.HERE, old, self.ready(2, 5)], want)
        assert (rewrite.worker, rewrite.entries) == (1, ())

    def test_it_gives_its_line_to_what_is_to_be_published(self) -> None:
        held = replace(self.ready(1, 4), lines=1)
        want = targets({7: 0, 8: 1}, epochs={7: 9, 8: 9})
        (rewrite,) = step([self.HERE, held], want)
        assert (rewrite.worker, rewrite.entries) == (1, (entry(8, 10),))

    def test_a_planned_move_to_it_needs_no_second_line(self) -> None:
        full = replace(self.ready(1, 4), lines=1)
        (warm,) = step([self.HERE, full], targets({7: 1}))
        assert (warm.worker, warm.entries[0].hot, warm.entries[0].state) == (1, False, EntryState.STANDBY)

    def test_of_a_dead_worker_it_goes(self) -> None:
        dead = replace(self.ready(1, 4), streaming=False)
        want = targets({7: 0}, standbys={7: 2}, epochs={7: 9})
        assert {rewrite.worker for rewrite in step([self.HERE, dead, Holding(worker=2)], want)} == {1, 2}

    def test_at_most_so_many_are_warmed_at_a_time(self) -> None:
        here = Holding(
            worker=0,
            entries=tuple(entry(conid, 3) for conid in range(9)),
            reports=tuple(report(conid, 3, ContractState.PUBLISHING) for conid in range(9)),
        )
        want = targets(dict.fromkeys(range(9), 0), standbys=dict.fromkeys(range(9), 1), warming_at_once=4)
        (rewrite,) = step([here, Holding(worker=1)], want)
        assert len(rewrite.entries) == 4


class TestMove:
    def test_first_assignment(self) -> None:
        (rewrite,) = step([Holding(worker=0)], targets({7: 0}))
        assert rewrite.worker == 0
        assert rewrite.entries == (entry(7, 1),)

    def test_what_nobody_had_before_is_fresh_for_as_long_as_its_first_epoch(self) -> None:
        want = targets({7: 0}, highest_epoch=4, fresh=frozenset({7}))
        (rewrite,) = step([Holding(worker=0)], want)
        assert rewrite.entries == (msgspec.structs.replace(entry(7, 5), fresh=True),)
        here = Holding(worker=0, entries=rewrite.entries)
        assert step([here], targets({7: 0}, highest_epoch=5)) == ()
        (again,) = step([replace(here, ended={7: 5})], targets({7: 0}, highest_epoch=5))
        assert again.entries == (entry(7, 6),)

    def test_what_others_have_is_not_fresh(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3, EntryState.RETIRING),), silent=True)
        (rewrite,) = step([here, Holding(worker=1)], targets({7: 1}, fresh=frozenset({7})))
        assert rewrite.entries == (entry(7, 4),)

    def test_a_new_epoch_is_not_below_the_clock(self) -> None:
        (rewrite,) = step([Holding(worker=0)], targets({7: 0}, highest_epoch=11, floor=1_790_000_000))
        assert rewrite.entries[0].epoch == 1_790_000_000
        (rewrite,) = step([Holding(worker=0)], targets({7: 0}, highest_epoch=1_790_000_000, floor=1_790_000_000))
        assert rewrite.entries[0].epoch == 1_790_000_001

    def test_epochs_of_other_contracts_do_not_run_ahead_of_it(self) -> None:
        """One goes on above its own; what is remembered of none of its own is above that of all."""
        want = targets({7: 0, 8: 0}, epochs={7: 3}, highest_epoch=40, floor=20)
        (rewrite,) = step([Holding(worker=0)], want)
        assert {item.conid: item.epoch for item in rewrite.entries} == {7: 20, 8: 41}
        (rewrite,) = step([Holding(worker=0)], replace(want, floor=2))
        assert {item.conid: item.epoch for item in rewrite.entries} == {7: 4, 8: 41}

    def test_an_epoch_of_its_own_keeps_an_entry_until_it_is_remembered(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 5, EntryState.RETIRING),), silent=True)
        assert step([here], targets({}, epochs={7: 4}, highest_epoch=9)) == ()
        (rewrite,) = step([here], targets({}, epochs={7: 5}, highest_epoch=9))
        assert rewrite.entries == ()

    def test_who_finds_its_epoch_used_up_is_given_another_once(self) -> None:
        behind = msgspec.structs.replace(report(7, 3, ContractState.SUBSCRIBING), kafka_epoch=50)
        first = msgspec.structs.replace(entry(7, 3), fresh=True, mark=Mark(event_time=9, seq=8))
        here = Holding(worker=0, entries=(first,), reports=(behind,))
        (rewrite,) = step([here], targets({7: 0}, floor=20))
        assert rewrite.entries == (msgspec.structs.replace(entry(7, 51), fresh=True),)  # it asks Kafka once more
        assert step([replace(here, entries=rewrite.entries)], targets({7: 0}, floor=20)) == ()

    def test_what_a_dead_worker_found_on_kafka_counts_for_its_heir(self) -> None:
        behind = msgspec.structs.replace(report(7, 3, ContractState.SUBSCRIBING), kafka_epoch=50)
        here = Holding(worker=0, entries=(entry(7, 3, EntryState.RETIRING),), reports=(behind,), silent=True)
        (rewrite,) = step([here, Holding(worker=1)], targets({7: 1}))
        assert (rewrite.worker, rewrite.entries[0].epoch) == (1, 51)

    def test_an_expired_contract_that_waits_for_an_epoch_is_let_go(self) -> None:
        behind = msgspec.structs.replace(report(7, 3, ContractState.SUBSCRIBING), kafka_epoch=50)
        here = Holding(worker=0, entries=(entry(7, 3),), reports=(behind,))
        (rewrite,) = step([here], targets({}))
        assert rewrite.entries == (entry(7, 3, EntryState.RETIRING),)

    def test_report_of_another_epoch_is_not_believed(self) -> None:
        here = Holding(
            worker=0,
            entries=(entry(7, 3, EntryState.RETIRING),),
            reports=(report(7, 2, ContractState.RELEASED),),
            streaming=False,
        )
        assert step([here, Holding(worker=1)], targets({7: 1})) == ()

    def test_only_the_mark_of_the_last_one_to_publish_counts(self) -> None:
        first = Holding(
            worker=0,
            entries=(entry(7, 3, EntryState.RETIRING),),
            reports=(report(7, 3, ContractState.RELEASED, (1000, 55)),),
        )
        second = Holding(worker=1, entries=(entry(7, 4, EntryState.RETIRING),), silent=True)
        (rewrite,) = step([first, second], targets({7: 0}))
        assert rewrite.entries == (entry(7, 5),)

    def test_stand_in_that_was_never_needed_leaves_its_epoch_behind(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), reports=(report(7, 3, ContractState.PUBLISHING),))
        there = Holding(worker=1, entries=(entry(7, 4, EntryState.STANDBY),))
        assert step([here, there], targets({7: 0}, highest_epoch=3)) == ()  # nothing else remembers epoch 4 yet
        (drop,) = step([here, there], targets({7: 0}, highest_epoch=4))
        assert drop.entries == ()
        (again,) = step([here, Holding(worker=1)], targets({7: 1}, highest_epoch=4))
        assert again.entries == (entry(7, 5, EntryState.STANDBY),)

    def test_silent_owner_is_not_asked(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), silent=True)
        there = Holding(worker=1, lines=1)
        (retire,) = step([here, there], targets({7: 1}))
        here = replace(here, entries=retire.entries)
        (activate,) = step([here, there], targets({7: 1}))
        assert (activate.worker, activate.entries[0].epoch, activate.entries[0].mark) == (1, 4, None)
        (drop,) = step([here, replace(there, entries=activate.entries)], targets({7: 1}))
        assert (drop.worker, drop.entries) == (0, ())

    def test_newcomer_starts_above_what_the_status_remembers(self) -> None:
        (rewrite,) = step([Holding(worker=0)], targets({7: 0}, highest_epoch=11))
        assert rewrite.entries[0].epoch == 12

    def test_contract_that_left_the_universe_goes_once_released_and_remembered(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),))
        (rewrite,) = step([here], targets({}))
        assert rewrite.entries[0].state is EntryState.RETIRING
        released = (report(7, 3, ContractState.RELEASED),)
        here = replace(here, entries=rewrite.entries, reports=released)
        assert step([here], targets({}, highest_epoch=2)) == ()  # nothing else remembers epoch 3 yet
        (rewrite,) = step([here], targets({}, highest_epoch=3))
        assert rewrite.entries == ()

    def test_nothing_to_do(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), reports=(report(7, 3, ContractState.PUBLISHING),))
        assert step([here, Holding(worker=1)], targets({7: 0})) == ()

    def test_full_account_waits_for_a_line(self) -> None:
        full = Holding(worker=1, entries=(entry(8, 1),), lines=1)
        assert step([Holding(worker=0), full], targets({7: 1, 8: 1})) == ()

    def test_full_accounts_exchange_contracts_by_break_before_make(self) -> None:
        want = targets({7: 1, 8: 0}, highest_epoch=1)
        here, there = (
            Holding(worker=0, entries=(entry(7, 1),), lines=1),
            Holding(worker=1, entries=(entry(8, 1),), lines=1),
        )
        first = {rewrite.worker: rewrite.entries for rewrite in step([here, there], want)}
        assert first == {0: (entry(7, 1, EntryState.RETIRING),), 1: (entry(8, 1, EntryState.RETIRING),)}
        here = replace(here, entries=first[0], reports=(report(7, 1, ContractState.RELEASED),))
        there = replace(there, entries=first[1], reports=(report(8, 1, ContractState.RELEASED),))
        second = {rewrite.worker: rewrite.entries for rewrite in step([here, there], want)}
        assert second == {0: (), 1: ()}
        third = step([replace(here, entries=()), replace(there, entries=())], want)
        assert {rewrite.worker: rewrite.entries for rewrite in third} == {0: (entry(8, 2),), 1: (entry(7, 2),)}

    def test_slot_never_changes_by_moving(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3, EntryState.RETIRING),), silent=True)
        (rewrite,) = step([here, Holding(worker=1)], targets({7: 1}))
        assert rewrite.entries[0].slot == entry(7, 3).slot


class TestEpochOfAProcess:
    def test_dead_process_without_heir_keeps_its_contract_under_a_new_epoch_once(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), reports=(report(7, 3, ContractState.PUBLISHING),), silent=True)
        (rewrite,) = step([here], targets({7: 0}))
        assert rewrite.entries == (entry(7, 4),)
        assert step([replace(here, entries=rewrite.entries)], targets({7: 0})) == ()

    def test_process_that_was_replaced_unseen(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), ended={7: 3})
        (rewrite,) = step([here], targets({7: 0}))
        assert rewrite.entries == (entry(7, 4),)

    def test_stopped_worker_goes_on_from_its_own_mark(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 3),), reports=(report(7, 3, ContractState.RELEASED, (9, 8)),))
        (rewrite,) = step([here], targets({7: 0}))
        assert rewrite.entries[0].epoch == 4
        assert rewrite.entries[0].mark == Mark(event_time=9, seq=8)


class TestOrderBooks:
    def test_one_ladder_waits_for_the_other_to_be_given_up(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 1, EntryState.RETIRING, depth=True), entry(8, 1)))
        there = Holding(
            worker=1, entries=(entry(7, 2, EntryState.STANDBY),), reports=(report(7, 2, ContractState.WARM),)
        )
        want = targets({7: 1, 8: 0}, ladders=frozenset({7, 8}))
        assert step([here, there], want) == ()
        released = replace(here, reports=(report(7, 1, ContractState.RELEASED),))
        rewrites = {rewrite.worker: rewrite for rewrite in step([released, there], want)}
        assert [item.depth for item in rewrites[1].entries] == [True]
        assert [item.depth for item in rewrites[0].entries if item.conid == 8] == [True]

    def test_swapped_within_one_worker_at_once(self) -> None:
        here = Holding(worker=0, entries=(entry(7, 1, depth=True), entry(8, 1)))
        (rewrite,) = step([here], targets({7: 0, 8: 0}, ladders=frozenset({8})))
        assert {item.conid: item.depth for item in rewrite.entries} == {7: False, 8: True}


def test_owner_is_where_it_is_active_else_where_it_still_retires() -> None:
    holdings = [
        Holding(worker=0, entries=(entry(1, 2, EntryState.RETIRING), entry(2, 1, EntryState.RETIRING))),
        Holding(worker=1, entries=(entry(1, 3), msgspec.structs.replace(entry(3, 1), state=EntryState.STANDBY))),
    ]
    assert owners(holdings) == {1: 1, 2: 0}


def test_a_contract_under_way_is_headed_for_its_goal_while_that_streams() -> None:
    holdings = [
        Holding(worker=0, entries=(entry(1, 2), entry(2, 2, EntryState.RETIRING))),
        Holding(worker=1, entries=(entry(1, 3, EntryState.STANDBY), entry(2, 3, EntryState.STANDBY))),
    ]
    assert current_assignment(holdings, among={0, 1}, ready={0, 1}) == {1: 1, 2: 1}
    assert current_assignment(holdings, among={0, 1}, ready={0}) == {1: 0, 2: 0}
    assert current_assignment(holdings, among={1}, ready=set()) == {1: 1, 2: 1}
    assert current_assignment(holdings, among={0}, ready={0, 1}) == {1: 0, 2: 0}


class TestLimits:
    """What a planned move waits for besides the workers' reports: few at a time, and a line where there will be one."""

    LIVE = ContractState.PUBLISHING

    def here(self, *conids: int, said: ContractState = LIVE, lines: int = 100) -> Holding:
        return Holding(
            worker=0,
            entries=tuple(entry(conid, 1) for conid in conids),
            reports=tuple(report(conid, 1, said) for conid in conids),
            lines=lines,
        )

    def test_so_many_are_warmed_at_a_time_and_the_next_once_they_are(self) -> None:
        here, there = self.here(*range(1, 61)), Holding(worker=1)
        want = targets(dict.fromkeys(range(1, 61), 1))
        (first,) = step([here, there], want)
        assert {item.conid for item in first.entries} == set(sorted(range(1, 61), key=self.nearness)[:25])
        assert all(item.state is EntryState.STANDBY for item in first.entries)
        there = replace(there, entries=first.entries)
        assert step([here, there], want) == ()
        warm = tuple(report(item.conid, item.epoch, ContractState.WARM) for item in first.entries[:10])
        rewrites = {rewrite.worker: rewrite.entries for rewrite in step([here, replace(there, reports=warm)], want)}
        assert len(rewrites[1]) == 35
        assert sum(item.state is EntryState.RETIRING for item in rewrites[0]) == 10

    def nearness(self, conid: int) -> tuple[str, int]:
        return (contract(conid).last_trading_day, conid)

    def test_each_worker_has_a_limit_of_its_own(self) -> None:
        want = targets({conid: 1 + conid % 2 for conid in range(1, 61)})
        rewrites = step([self.here(*range(1, 61)), Holding(worker=1), Holding(worker=2)], want)
        assert [len(rewrite.entries) for rewrite in rewrites] == [25, 25]

    def test_what_never_gets_warm_since_nobody_hears_of_it_holds_up_nothing(self) -> None:
        silent = self.here(*range(1, 31), said=ContractState.SUBSCRIBING)
        live = self.here(*range(31, 34))
        here = replace(live, entries=silent.entries + live.entries, reports=silent.reports + live.reports)
        (rewrite,) = step([here, Holding(worker=1)], targets(dict.fromkeys(range(1, 34), 1)))
        assert len(rewrite.entries) == 33

    def test_a_lost_workers_contracts_go_all_at_once(self) -> None:
        retired = tuple(entry(conid, 1, EntryState.RETIRING) for conid in range(1, 61))
        here = Holding(worker=0, entries=retired, silent=True)
        (rewrite,) = step([here, Holding(worker=1)], targets(dict.fromkeys(range(1, 61), 1)))
        assert [item.state for item in rewrite.entries] == [EntryState.ACTIVE] * 60

    def test_a_line_that_is_about_to_be_free_is_waited_for(self) -> None:
        """7 goes to worker 1, which is full until 8 has gone to worker 2: neither stops before it is warm elsewhere."""
        here = self.here(7)
        full = Holding(worker=1, entries=(entry(8, 1),), reports=(report(8, 1, self.LIVE),), lines=1)
        (rewrite,) = step([here, full, Holding(worker=2)], targets({7: 1, 8: 2}))
        assert (rewrite.worker, rewrite.entries) == (2, (entry(8, 2, EntryState.STANDBY),))

    def test_a_line_that_nobody_gives_up_is_waited_for_too(self) -> None:
        full = Holding(worker=1, entries=(entry(8, 1),), reports=(report(8, 1, self.LIVE),), lines=1)
        assert step([self.here(7), full], targets({7: 1, 8: 1})) == ()

    def test_three_full_accounts_in_a_ring_break_off_together(self) -> None:
        ring = [
            Holding(
                worker=worker,
                entries=(entry(worker + 1, 1),),
                reports=(report(worker + 1, 1, self.LIVE),),
                lines=1,
            )
            for worker in range(3)
        ]
        rewrites = step(ring, targets({1: 1, 2: 2, 3: 0}))
        assert [item.state for rewrite in rewrites for item in rewrite.entries] == [EntryState.RETIRING] * 3
