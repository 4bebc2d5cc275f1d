from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import msgspec
import pytest

from ibfeed_api.feed import Rebalance, Standby
from ibfeed_api.shard import Entry, EntryState
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.feed_status import ContractStatus, FeedStatus
from ibfeed_operator.model.types import (
    Contract,
    Feed,
    Health,
    PinProblem,
    Placement,
    UnassignedReason,
    Universe,
    WorkerHealth,
)
from ibfeed_operator.planning.assignment import Decision, balanced, decide, unassigned
from ibfeed_operator.planning.handover import step
from ibfeed_operator.planning.handover_state import Holding
from support.build import contract, entry, feed, shard


def universe(*contracts: Contract) -> Universe:
    return Universe(contracts=contracts, resolved=True)


def verdicts(**states: Health) -> dict[int, Verdict]:
    return {int(name[1:]): Verdict(health=WorkerHealth(state=state), silent=False) for name, state in states.items()}


def holdings(*entries: tuple[Entry, ...]) -> list[Holding]:
    return [Holding(worker=worker, entries=mine) for worker, mine in enumerate(entries)]


SIX = [contract(conid, day=f"20270{conid}20", slot=conid) for conid in range(1, 7)]


def owners(feed: Feed, held: list[Holding], **states: Health) -> Any:
    return decide(feed, universe(*SIX), held, verdicts(**states)).targets.owners


class TestWho:
    def test_only_streaming_workers_are_given_contracts(self) -> None:
        found = owners(feed(), holdings((), (), ()), w0=Health.STREAMING, w1=Health.STARTING, w2=Health.STREAMING)
        assert set(found.values()) == {0, 2}

    def test_returning_worker_keeps_what_it_has_and_gets_nothing(self) -> None:
        held = holdings((entry(1, day="20270120"), entry(2, day="20270220")), (), ())
        found = owners(feed(), held, w0=Health.RETURNING, w1=Health.STREAMING, w2=Health.STREAMING)
        assert {conid for conid, worker in found.items() if worker == 0} == {1, 2}
        assert sorted(found.values()) == [0, 0, 1, 1, 2, 2]

    def test_lost_worker_loses_all(self) -> None:
        held = holdings((entry(1, day="20270120"),), (), ())
        assert 0 not in owners(feed(), held, w0=Health.LOST, w1=Health.STREAMING, w2=Health.STREAMING).values()

    def test_while_nobody_streams_everybody_keeps_his(self) -> None:
        held = holdings((entry(1, day="20270120"),), (entry(2, day="20270220"),), ())
        decision = decide(feed(), universe(*SIX), held, verdicts(w0=Health.LOST, w1=Health.LOST, w2=Health.ABSENT))
        assert decision.targets.owners == {1: 0, 2: 1}
        assert set(decision.unassigned.values()) == {UnassignedReason.NO_WORKERS}
        assert set(decision.unassigned) == {3, 4, 5, 6}

    @pytest.mark.parametrize(("count", "fresh"), [(2, {2, 3, 4, 5, 6}), (1500, set())], ids=["all listed", "cut short"])
    def test_fresh_is_what_the_status_remembers_no_epoch_of(self, count: int, fresh: set[int]) -> None:
        listed = tuple(
            ContractStatus(conid=conid, symbol="CLF7", root="CL", slot=conid, epoch=epoch)
            for conid, epoch in ((1, 4), (2, 0))
        )
        known = replace(feed(), status=FeedStatus(contracts=listed, contract_count=count))
        decision = decide(
            known,
            universe(*SIX),
            holdings((), (), ()),
            verdicts(w0=Health.STREAMING, w1=Health.ABSENT, w2=Health.ABSENT),
        )
        assert decision.targets.fresh == fresh

    def test_each_contract_goes_on_above_its_own_epoch(self) -> None:
        listed = tuple(
            ContractStatus(conid=conid, symbol="CLF7", root="CL", slot=conid, epoch=epoch)
            for conid, epoch in ((1, 4), (2, 0))
        )
        known = replace(feed(), status=FeedStatus(contracts=listed, contract_count=2, highest_epoch=9))
        found = decide(
            known,
            universe(*SIX),
            holdings((), (), ()),
            verdicts(w0=Health.STREAMING, w1=Health.ABSENT, w2=Health.ABSENT),
            epoch_floor=1_790_000_000,
        ).targets
        # What has none may have had one before it left and came back: that is remembered as the highest only.
        assert (found.floor, found.epochs, found.highest_epoch) == (1_790_000_000, {1: 4}, 9)

    def test_suspended_feed_moves_nothing(self) -> None:
        held = holdings((entry(1, day="20270120"),), (), ())
        found = owners(feed(suspend=True), held, w0=Health.LOST, w1=Health.STREAMING, w2=Health.STREAMING)
        assert found == {1: 0}

    def test_while_the_first_workers_gather_nobody_gets_anything(self) -> None:
        states = verdicts(w0=Health.STREAMING, w1=Health.STARTING)
        assert decide(feed(), universe(*SIX), holdings((), ()), states, gathering=True).targets.owners == {}

    def test_departing_worker_gives_all_away(self) -> None:
        held = holdings((), (), (entry(1, day="20270120"),))
        found = owners(feed(workers=2), held, w0=Health.STREAMING, w1=Health.STREAMING, w2=Health.STREAMING)
        assert set(found.values()) == {0, 1}

    def test_contract_outside_the_universe_has_no_owner(self) -> None:
        held = holdings((entry(99),), (), ())
        assert 99 not in owners(feed(), held, w0=Health.STREAMING, w1=Health.STREAMING, w2=Health.STREAMING)


class TestWhyNot:
    def test_capacity(self) -> None:
        few = feed(workers=2, accounts=type(feed().spec.accounts)(lines_per_account=2))
        decision = decide(few, universe(*SIX), holdings((), ()), verdicts(w0=Health.STREAMING, w1=Health.STREAMING))
        assert dict(decision.unassigned) == {5: UnassignedReason.CAPACITY, 6: UnassignedReason.CAPACITY}

    def test_who_could_have_it_but_cannot_now(self) -> None:
        few = feed(workers=3, accounts=type(feed().spec.accounts)(lines_per_account=1))
        states = verdicts(w0=Health.STREAMING, w1=Health.STARTING, w2=Health.STREAMING)
        asked = Placement(drained=frozenset({2}))
        decision = decide(few, universe(*SIX), holdings((), (), ()), states, placement=asked)
        assert list(map(decision.unassigned.get, range(1, 7))) == [
            None,
            UnassignedReason.WORKER_MISSING,
            UnassignedReason.DRAINED,
            *[UnassignedReason.CAPACITY] * 3,
        ]
        short = decide(few, universe(*SIX[:2]), holdings((), (), ()), states, accountless={1}, placement=asked)
        assert dict(short.unassigned) == {2: UnassignedReason.NO_ACCOUNT}

    def test_order_books(self) -> None:
        books = [contract(conid, day=f"20270{conid}20", depth=True) for conid in (1, 2)]
        decision = decide(feed(), universe(*books), holdings(()), verdicts(w0=Health.STREAMING))
        assert decision.targets.ladders == {1}
        assert dict(decision.unassigned) == {2: UnassignedReason.DEPTH_CAPACITY}

    def test_not_let_go_yet(self) -> None:
        decision = decide(feed(), universe(*SIX[:1]), holdings(()), verdicts(w0=Health.STREAMING))
        assert [item.reason for item in unassigned(decision, [shard(0)])] == [UnassignedReason.MOVING]
        assert unassigned(decision, [shard(0, entry(1))]) == ()


class TestUnderWay:
    """The second worker streams since a moment ago: its share is on its way to it."""

    HELD = (tuple(entry(conid, day=f"20270{conid}20", slot=conid) for conid in (1, 2, 3)), ())

    def moved(self) -> list[Holding]:
        held = holdings(*self.HELD)
        (rewrite,) = step(held, decide(feed(), universe(*SIX[:3]), held, self.streaming()).targets)
        assert (rewrite.worker, [item.state for item in rewrite.entries]) == (1, [EntryState.STANDBY])
        return [held[0], Holding(worker=1, entries=rewrite.entries)]

    def streaming(self, newcomer: Health = Health.STREAMING) -> dict[int, Verdict]:
        return verdicts(w0=Health.STREAMING, w1=newcomer)

    def test_the_same_plan_again_changes_nothing(self) -> None:
        held = self.moved()
        decision = decide(feed(), universe(*SIX[:3]), held, self.streaming())
        assert decision.targets.owners == {1: 0, 2: 0, 3: 1}
        assert step(held, decision.targets) == ()

    def test_goal_that_is_lost_is_given_up(self) -> None:
        for health in (Health.LOST, Health.RETURNING):
            decision = decide(feed(), universe(*SIX[:3]), self.moved(), self.streaming(health))
            assert set(decision.targets.owners.values()) == {0}

    def test_suspended_on_the_way_it_stays_where_it_was(self) -> None:
        decision = decide(feed(suspend=True), universe(*SIX[:3]), self.moved(), self.streaming())
        assert set(decision.targets.owners.values()) == {0}


class TestStandbys:
    """Six contracts; two at each of three workers, and each of them held ready by another one."""

    HOT = feed(standby=Standby.HOT)
    STREAM: ClassVar = dict.fromkeys(("w0", "w1", "w2"), Health.STREAMING)

    @staticmethod
    def held() -> list[Holding]:
        def place(conid: int, **state: Any) -> Entry:
            return msgspec.structs.replace(entry(conid, day=f"20270{conid}20"), **state)

        ready = {"epoch": 9, "state": EntryState.STANDBY, "hot": True}
        return holdings(
            (place(1), place(4), place(3, **ready), place(5, **ready)),
            (place(2), place(5), place(1, **ready), place(6, **ready)),
            (place(3), place(6), place(2, **ready), place(4, **ready)),
        )

    def test_only_if_asked_for(self) -> None:
        states = verdicts(**self.STREAM)
        assert decide(feed(), universe(*SIX), self.held(), states).targets.standbys == {}
        found = decide(self.HOT, universe(*SIX), holdings((), (), ()), states)
        assert set(found.targets.standbys) == {1, 2, 3, 4, 5, 6}
        assert all(found.targets.owners[conid] != worker for conid, worker in found.targets.standbys.items())
        assert found.without_standby == ()

    def test_they_take_no_part_in_moves(self) -> None:
        held = self.held()
        decision = decide(self.HOT, universe(*SIX), held, verdicts(**self.STREAM))
        assert decision.targets.owners == {1: 0, 4: 0, 2: 1, 5: 1, 3: 2, 6: 2}
        shards = [shard(holding.worker, *holding.entries) for holding in held]
        assert balanced(decision, shards)
        assert unassigned(decision, shards) == ()

    def test_what_a_lost_worker_had_stays_where_it_is_held_ready(self) -> None:
        decision = decide(self.HOT, universe(*SIX), self.held(), verdicts(**{**self.STREAM, "w0": Health.LOST}))
        assert decision.targets.owners == {1: 1, 2: 1, 3: 2, 4: 2, 5: 1, 6: 2}
        assert decision.targets.standbys == {1: 2, 2: 2, 3: 1, 4: 1, 5: 2, 6: 1}

    def test_who_repairs_its_session_keeps_them(self) -> None:
        decision = decide(self.HOT, universe(*SIX), self.held(), verdicts(**{**self.STREAM, "w1": Health.RETURNING}))
        assert decision.targets.standbys == {1: 1, 2: 2, 3: 0, 4: 2, 5: 0, 6: 1}

    def test_while_nobody_streams_all_stay_where_they_are(self) -> None:
        decision = decide(
            self.HOT, universe(*SIX), self.held(), verdicts(w0=Health.LOST, w1=Health.LOST, w2=Health.LOST)
        )
        assert decision.targets.standbys == {1: 1, 2: 2, 3: 0, 4: 2, 5: 0, 6: 1}

    def test_a_drained_worker_holds_nothing_ready(self) -> None:
        decision = decide(
            self.HOT,
            universe(*SIX),
            self.held(),
            verdicts(**self.STREAM),
            placement=Placement(drained=frozenset({1})),
        )
        assert 1 not in decision.targets.standbys.values()

    def test_the_farthest_have_none_where_lines_are_short(self) -> None:
        short = feed(standby=Standby.HOT, accounts=msgspec.structs.replace(feed().spec.accounts, lines_per_account=3))
        decision = decide(short, universe(*SIX), holdings((), (), ()), verdicts(**self.STREAM))
        assert decision.without_standby == (4, 5, 6)

    def test_an_account_that_ib_refuses_a_contract_does_not_hold_it_ready(self) -> None:
        decision = decide(self.HOT, universe(*SIX), self.held(), verdicts(**self.STREAM), refused={1: frozenset({1})})
        assert decision.targets.standbys[1] == 2


class TestScheduledLogins:
    """Worker 0 has six contracts and 1 has none, as a night under OnScale or Never might leave them."""

    NIGHT: ClassVar = {0: Verdict(health=WorkerHealth(state=Health.LEAVING), silent=False, relieved=True)}
    DAY: ClassVar = verdicts(w0=Health.STREAMING)
    HELD = tuple(entry(conid, day=f"20270{conid}20", slot=conid) for conid in range(1, 7))

    def decide(self, states: dict[int, Verdict], held: list[Holding], lines: int = 100) -> Decision:
        accounts = type(feed().spec.accounts)(lines_per_account=lines)
        known = feed(workers=2, rebalance=Rebalance.NEVER, accounts=accounts)
        return decide(known, universe(*SIX), held, states | verdicts(w1=Health.STREAMING))

    def test_its_contracts_are_lent_and_that_is_written_down(self) -> None:
        decision = self.decide(self.NIGHT, holdings(self.HELD, ()))
        assert set(decision.targets.owners.values()) == {1}
        assert decision.homes == {0: (1, 2, 3, 4, 5, 6)}
        assert not decision.stranded, "nobody has asked for a drain"

    def test_what_finds_no_line_stays_and_makes_nobody_elses_give_way(self) -> None:
        decision = self.decide(self.NIGHT, holdings(self.HELD[:3], self.HELD[3:]), lines=4)
        assert decision.targets.owners == {1: 1, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1}

    def test_they_come_back_whatever_the_policy(self) -> None:
        lent = [Holding(worker=0, home=(1, 2, 3, 4, 5)), Holding(worker=1, entries=self.HELD)]
        decision = self.decide(self.DAY, lent)
        assert {conid for conid, worker in decision.targets.owners.items() if worker == 0} == {1, 2, 3, 4, 5}
        assert decision.homes == {}, "until they are there"

    def test_what_is_back_or_gone_or_pinned_elsewhere_is_forgotten(self) -> None:
        lent = [
            Holding(worker=0, entries=self.HELD[:2], home=(1, 2, 3, 4, 99)),
            Holding(worker=1, entries=self.HELD[2:]),
        ]
        decision = decide(
            feed(workers=2, rebalance=Rebalance.NEVER),
            universe(*SIX),
            lent,
            self.DAY | verdicts(w1=Health.STREAMING),
            placement=Placement(pins={4: 1}),
        )
        assert decision.homes == {0: (3,)}

    def test_a_move_back_is_over_when_the_other_one_has_forgotten_the_contract(self) -> None:
        """Until then it is told as part of the night."""
        going = msgspec.structs.replace(self.HELD[0], state=EntryState.RETIRING)
        lent = [
            Holding(worker=0, entries=self.HELD[:2], home=(1, 2)),
            Holding(worker=1, entries=(going, *self.HELD[2:])),
        ]
        assert self.decide(self.DAY, lent).homes == {0: (1,)}

    def test_what_was_only_lent_to_it_is_not_its_own(self) -> None:
        lent = [Holding(worker=0, entries=self.HELD[:3]), Holding(worker=1, entries=self.HELD[3:], home=(1,))]
        assert self.decide(self.NIGHT, lent).homes[0] == (2, 3)

    def test_while_it_is_away_nothing_is_forgotten(self) -> None:
        lent = [Holding(worker=0, home=(1, 2)), Holding(worker=1, entries=self.HELD)]
        for health in (Health.STARTING, Health.RETURNING, Health.LOST, Health.ABSENT):
            decision = self.decide(verdicts(w0=health), lent)
            assert (decision.homes, set(decision.targets.owners.values())) == ({}, {1})


class TestRefused:
    """IB answers a subscription with an error: by account, so another one may be sent the contract."""

    HELD: ClassVar = (
        (entry(1, day="20270120"), entry(2, day="20270220")),
        (entry(3, day="20270320"), entry(4, day="20270420")),
        (entry(5, day="20270520"), entry(6, day="20270620")),
    )

    def decided(self, refused: dict[int, set[int]], held: Any = None, **more: Any) -> Decision:
        states = verdicts(w0=Health.STREAMING, w1=Health.STREAMING, w2=Health.STREAMING)
        return decide(
            more.pop("feed", feed()),
            universe(*SIX),
            holdings(*(held or self.HELD)),
            states,
            refused={conid: frozenset(workers) for conid, workers in refused.items()},
            **more,
        )

    def test_it_goes_to_an_account_that_has_not_refused(self) -> None:
        owners = self.decided({1: {0}}).targets.owners
        assert owners[1] in (1, 2)
        assert sorted(owners.values()) == [0, 0, 1, 1, 2, 2]

    def test_it_stays_where_it_is_sent_however_loads_are_evened(self) -> None:
        held = ((self.HELD[0][1],), (*self.HELD[1], self.HELD[0][0]), self.HELD[2])
        owners = self.decided({1: {0}}, held).targets.owners
        assert owners[1] == 1

    def test_a_move_under_way_keeps_its_goal(self) -> None:
        probe = msgspec.structs.replace(self.HELD[0][0], epoch=2, state=EntryState.STANDBY)
        held = (self.HELD[0], self.HELD[1], (*self.HELD[2], probe))
        assert self.decided({1: {0}}, held).targets.owners[1] == 2

    def test_refused_by_all_it_stays(self) -> None:
        assert self.decided({1: {0, 1, 2}}).targets.owners[1] == 0

    def test_without_a_line_to_spare_it_stays(self) -> None:
        full = feed(accounts=msgspec.structs.replace(feed().spec.accounts, lines_per_account=2))
        assert self.decided({1: {0}}, feed=full).targets.owners[1] == 0

    def test_many_at_once_are_spread(self) -> None:
        owners = self.decided({1: {0}, 2: {0}}).targets.owners
        assert {owners[1], owners[2]} == {1, 2}

    def test_a_pin_to_an_account_that_refuses_is_named(self) -> None:
        decision = self.decided({1: {0}}, placement=Placement(pins={1: 0}))
        assert decision.targets.owners[1] != 0
        assert decision.unmet == {1: PinProblem.REFUSED}

    def test_a_full_account_is_given_no_more_while_others_have_room(self) -> None:
        held = ((), (*self.HELD[1], *self.HELD[0]), self.HELD[2])
        assert 0 not in self.decided({9: {0}}, held, full={0}).targets.owners.values()
        few = feed(accounts=msgspec.structs.replace(feed().spec.accounts, lines_per_account=2))
        assert 0 in self.decided({9: {0}}, held, full={0}, feed=few).targets.owners.values()
