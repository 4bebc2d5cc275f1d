"""Drains and pins, as annotations ask for them: what is read, what is decided, what is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ibfeed_api.feed import Rebalance
from ibfeed_api.reasons import Condition
from ibfeed_api.shard import EntryState
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import (
    Health,
    PinProblem,
    Placement,
    Shard,
    StatusInput,
    Universe,
    Worker,
    WorkerHealth,
)
from ibfeed_operator.planning.assignment import Decision, balanced, decide
from ibfeed_operator.planning.handover_state import Holding
from ibfeed_operator.planning.placement import placement
from ibfeed_operator.status.feed import status_of
from support.build import contract, entry, feed, pod, shard

SIX = tuple(contract(conid, day=f"20270{conid}20", slot=conid) for conid in range(1, 7))
UNIVERSE = Universe(contracts=SIX, resolved=True)


def held(*loads: tuple[int, ...]) -> list[Holding]:
    return [
        Holding(worker=worker, entries=tuple(entry(conid, day=f"20270{conid}20", slot=conid) for conid in conids))
        for worker, conids in enumerate(loads)
    ]


def decided(
    *loads: tuple[int, ...], health: dict[int, Health] | None = None, asked: Placement | None = None, **spec: Any
) -> Decision:
    """Workers stream unless ``health`` says otherwise; ``balanced_workers`` is what the status remembers."""
    status = FeedStatus(balanced_workers=spec.pop("balanced_workers", 0))
    lines = spec.pop("lines", 100)
    base = feed(workers=len(loads), **spec)
    accounts = msgspec.structs.replace(base.spec.accounts, lines_per_account=lines)
    this = replace(base, status=status, spec=msgspec.structs.replace(base.spec, accounts=accounts))
    verdicts = {
        worker: Verdict(health=WorkerHealth(state=(health or {}).get(worker, Health.STREAMING)), silent=False)
        for worker in range(len(loads))
    }
    return decide(this, UNIVERSE, held(*loads), verdicts, placement=asked)


def loads_of(decision: Decision) -> dict[int, set[int]]:
    return {
        worker: {conid for conid, owner in decision.targets.owners.items() if owner == worker}
        for worker in set(decision.targets.owners.values())
    }


class TestReading:
    def test_pins_by_symbol_and_workers_by_number(self) -> None:
        of = replace(feed(), pin="CL1=1, CL3=0")
        assert placement(of, UNIVERSE, ()) == Placement(pins={1: 1, 3: 0})

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("CLX9=1", "CLX9 is pinned to energy-1, but is no contract of this feed"),
            ("CL2=3", "CL2 is pinned to worker 3, but the feed has 0 to 2"),
            ("CL2=1,CL2=0", "CL2 is pinned to 2 workers: give it one"),
            ("CL2", "ibfeed.dev/pin: 'CL2' is not of the form CLZ6=1"),
            ("CL2=energy-1", "ibfeed.dev/pin: 'CL2=energy-1' is not of the form CLZ6=1"),
            ("CL2=-1", "ibfeed.dev/pin: 'CL2=-1' is not of the form CLZ6=1"),
            ("CL2=٣", "ibfeed.dev/pin: 'CL2=٣' is not of the form CLZ6=1"),
        ],
    )
    def test_what_makes_no_sense_is_said_and_the_rest_counts(self, text: str, sentence: str) -> None:
        of = replace(feed(), pin=f"{text},CL1=1")
        assert placement(of, UNIVERSE, ()) == Placement(pins={1: 1}, invalid=(sentence,))

    def test_a_pin_by_root_and_month_is_never_taken_silently(self) -> None:
        dax = [
            msgspec.structs.replace(contract(conid, root="DAX", day="20270319"), symbol=f"{name}H7", trading_class=name)
            for conid, name in ((11, "FDAX"), (12, "FDXM"))
        ]
        euro = msgspec.structs.replace(contract(13, root="EUR", day="20270315"), symbol="6EH7", trading_class="6E")
        several = Universe(contracts=(*dax, euro), resolved=True)
        of = replace(feed(), pin="DAXH7=1,FDXMH7=0,EURH7=2")
        asked = placement(of, several, ())
        assert asked.pins == {12: 0, 13: 2}
        assert asked.invalid == ("DAXH7 is pinned, but may be each of FDAXH7, FDXMH7: pin one of these",)

    def test_a_contract_without_a_month_can_be_pinned_by_its_symbol(self) -> None:
        odd = msgspec.structs.replace(contract(11), symbol="CLOLD", contract_month="")
        assert placement(replace(feed(), pin="CLOLD=1"), Universe(contracts=(odd,), resolved=True), ()).pins == {11: 1}

    def test_however_long_it_is_the_sentence_is_short(self) -> None:
        (sentence,) = placement(replace(feed(), pin="X" * 10_000), UNIVERSE, ()).invalid
        assert len(sentence) < 100

    def test_symbol_may_come_while_the_universe_is_not_resolved(self) -> None:
        assert placement(replace(feed(), pin="NGF7=1"), Universe(contracts=SIX), ()) == Placement()

    def test_drained_is_who_says_true(self) -> None:
        shards = [replace(shard(worker), drain=text) for worker, text in enumerate(["true", "false", "", "yes"])]
        found = placement(feed(), UNIVERSE, shards)
        assert found.drained == {0}
        assert found.invalid == ("energy-3 is not drained: ibfeed.dev/drain is 'yes', neither true nor false",)


class TestDrain:
    def test_its_contracts_go_to_the_others_and_it_gets_none(self) -> None:
        decision = decided((1, 2), (3, 4), (5,), asked=Placement(drained=frozenset({0})))
        assert loads_of(decision) == {1: {2, 3, 4}, 2: {1, 5, 6}}
        assert decision.evened

    def test_without_room_elsewhere_the_farthest_stay_and_new_ones_come_first(self) -> None:
        decision = decided((1, 2, 3), (4, 5), lines=4, asked=Placement(drained=frozenset({0})))
        assert loads_of(decision) == {0: {2, 3}, 1: {1, 4, 5, 6}}
        assert decision.stranded == {2, 3}
        assert decision.unassigned == {}

    def test_all_drained_keep_all(self) -> None:
        decision = decided((1, 2, 3), (4, 5), asked=Placement(drained=frozenset({0, 1})))
        assert loads_of(decision) == {0: {1, 2, 3}, 1: {4, 5}}
        assert set(decision.unassigned) == {6}
        assert not decision.evened

    @pytest.mark.parametrize(
        ("rebalance", "shares"),
        [
            (Rebalance.ALWAYS, {0: 2, 1: 2, 2: 2}),
            (Rebalance.ON_SCALE, {1: 3, 2: 3}),
            (Rebalance.NEVER, {1: 3, 2: 3}),
        ],
    )
    def test_once_it_is_over_contracts_come_back_only_if_loads_are_evened(
        self, rebalance: Rebalance, shares: dict[int, int]
    ) -> None:
        decision = decided((), (1, 3, 4), (2, 5, 6), rebalance=rebalance, balanced_workers=3)
        assert {worker: len(conids) for worker, conids in loads_of(decision).items()} == shares


class TestPin:
    def test_moves_there_and_loads_stay_even(self) -> None:
        decision = decided((1, 2), (3, 4), (5, 6), asked=Placement(pins={1: 2}))
        assert loads_of(decision) == {0: {2, 6}, 1: {3, 4}, 2: {1, 5}}

    def test_more_pins_than_an_even_share(self) -> None:
        decision = decided((1, 2), (3, 4), (5, 6), asked=Placement(pins=dict.fromkeys(range(1, 6), 2)))
        assert loads_of(decision)[2] == {1, 2, 3, 4, 5}

    @pytest.mark.parametrize("rebalance", list(Rebalance))
    def test_moves_there_and_nothing_else_does_unless_loads_are_evened(self, rebalance: Rebalance) -> None:
        decision = decided(
            (1, 2, 3), (4, 5), (6,), rebalance=rebalance, balanced_workers=3, asked=Placement(pins={6: 0})
        )
        expected = (
            {0: {1, 2, 3, 6}, 1: {4, 5}} if rebalance is not Rebalance.ALWAYS else {0: {1, 6}, 1: {4, 5}, 2: {2, 3}}
        )
        assert loads_of(decision) == expected

    @pytest.mark.parametrize(
        ("health", "drained", "trouble"),
        [
            (Health.LOST, frozenset(), PinProblem.NOT_STREAMING),
            (Health.STARTING, frozenset(), PinProblem.NOT_STREAMING),
            (Health.STREAMING, frozenset({2}), PinProblem.DRAINED),
        ],
    )
    def test_while_its_worker_cannot_have_it_it_is_placed_like_any_other(
        self, health: Health, drained: frozenset[int], trouble: PinProblem
    ) -> None:
        asked = Placement(pins={1: 2}, drained=drained)
        decision = decided((2, 3, 4), (5, 6), (1,), health={2: health}, asked=asked)
        assert decision.unmet == {1: trouble}
        assert loads_of(decision) == {0: {2, 3, 4}, 1: {1, 5, 6}}
        again = decided((2, 3, 4), (1, 5, 6), (), asked=Placement(pins={1: 2}), rebalance=Rebalance.NEVER)
        assert again.targets.owners[1] == 2
        assert again.unmet == {}

    def test_returning_worker_keeps_its_pinned_contract_and_nothing_is_said(self) -> None:
        decision = decided((2, 3, 4), (5, 6), (1,), health={2: Health.RETURNING}, asked=Placement(pins={1: 2}))
        assert decision.targets.owners[1] == 2
        assert decision.unmet == {}

    def test_more_pins_than_lines(self) -> None:
        decision = decided((1, 2), (3, 4), (5, 6), lines=3, asked=Placement(pins=dict.fromkeys(range(1, 6), 2)))
        assert loads_of(decision)[2] == {1, 2, 3}
        assert decision.unmet == {4: PinProblem.NO_ROOM, 5: PinProblem.NO_ROOM}


class TestRebalance:
    """Worker 2 is back after a crash; the others have its contracts."""

    def test_always_evens(self) -> None:
        assert len(loads_of(decided((1, 2, 3), (4, 5, 6), ()))[2]) == 2

    def test_on_scale_leaves_them_while_the_number_of_workers_is_what_it_was(self) -> None:
        decision = decided((1, 2, 3), (4, 5), (), rebalance=Rebalance.ON_SCALE, balanced_workers=3)
        assert loads_of(decision) == {0: {1, 2, 3}, 1: {4, 5}, 2: {6}}
        assert not decision.evened

    def test_on_scale_evens_after_a_change_until_all_share(self) -> None:
        for before in (0, 2, 4):
            decision = decided((1, 2, 3), (4, 5, 6), (), rebalance=Rebalance.ON_SCALE, balanced_workers=before)
            assert len(loads_of(decision)[2]) == 2
            assert decision.evened
        waiting = decided((1, 2, 3, 4), (5, 6), (), health={2: Health.STARTING}, rebalance=Rebalance.ON_SCALE)
        assert loads_of(waiting) == {0: {1, 2, 3}, 1: {4, 5, 6}}
        assert not waiting.evened

    def test_never_only_gives_what_nobody_has(self) -> None:
        decision = decided((1, 2, 3), (4, 5), (), rebalance=Rebalance.NEVER, balanced_workers=2)
        assert loads_of(decision) == {0: {1, 2, 3}, 1: {4, 5}, 2: {6}}

    @pytest.mark.parametrize("rebalance", list(Rebalance))
    def test_a_lost_workers_contracts_are_spread_over_the_least_loaded(self, rebalance: Rebalance) -> None:
        decision = decided((1, 2), (3, 4), (5, 6), health={1: Health.LOST}, rebalance=rebalance, balanced_workers=3)
        assert loads_of(decision) == {0: {1, 2, 3}, 2: {4, 5, 6}}

    def test_balanced_is_what_stands_evenly_in_the_shards(self) -> None:
        decision = decided((1, 2), (3, 4), (5, 6))
        as_planned = [shard(w, *holding.entries) for w, holding in enumerate(held((1, 2), (3, 4), (5, 6)))]
        assert balanced(decision, as_planned)
        assert not balanced(decision, as_planned[:2])
        under_way = [*as_planned[:2], shard(2, entry(5), entry(6), entry(1, state=EntryState.STANDBY))]
        assert not balanced(decision, under_way)
        assert not balanced(replace(decision, evened=False), as_planned)


class TestSaid:
    def condition(self, asked: Placement, *shards: Shard, **more: Any) -> tuple[str, str, str]:
        streaming = WorkerHealth(state=Health.STREAMING)
        workers = tuple(Worker(index=s.worker, health=streaming, shard=s, pod=pod(s.worker)) for s in shards)
        situation = StatusInput(feed=feed(), universe=UNIVERSE, workers=workers, placement=asked, **more)
        found = status_of(situation, now=datetime(2026, 11, 21, tzinfo=UTC)).condition(Condition.PLACEMENT_HONORED)
        assert found is not None
        return found.status, found.reason, found.message

    def test_drain(self) -> None:
        asked = Placement(drained=frozenset({0}))
        moving = self.condition(asked, shard(0, entry(1)), shard(1, entry(2)))
        assert moving == ("False", "Moving", "1 contract on the way to where it is asked for")
        stranded = self.condition(asked, shard(0, entry(1)), shard(1, entry(2)), stranded=frozenset({1}))
        assert stranded == (
            "False",
            "DrainIncomplete",
            "energy-0 should be drained, but no other worker has a line for 1 contract: CL1; add workers",
        )
        assert self.condition(asked, shard(0), shard(1, entry(2))) == ("True", "Honored", "drained: energy-0")
        not_yet = self.condition(asked, shard(0, entry(1, state=EntryState.RETIRING)), shard(1, entry(1, epoch=2)))
        assert not_yet[:2] == ("False", "Moving")

    def test_pin(self) -> None:
        asked = Placement(pins={1: 0})
        assert self.condition(asked, shard(0, entry(1)), shard(1)) == ("True", "Honored", "pinned: CL1 to energy-0")
        assert self.condition(asked, shard(0), shard(1, entry(1)))[:2] == ("False", "Moving")
        unmet = self.condition(asked, shard(0), shard(1, entry(1)), unmet={1: PinProblem.DRAINED})
        assert unmet == ("False", "PinUnmet", "CL1 pinned to energy-0, which is drained")

    def test_nonsense(self) -> None:
        found = self.condition(Placement(invalid=("CLX9 is no contract",)), shard(0))
        assert found == ("False", "InvalidAnnotation", "CLX9 is no contract")

    def test_the_workers_line_says_that_it_is_drained(self) -> None:
        streaming = WorkerHealth(state=Health.STREAMING)
        workers = tuple(
            Worker(index=s.worker, health=streaming, shard=s, pod=pod(s.worker)) for s in (shard(0, entry(1)), shard(1))
        )
        asked = Placement(drained=frozenset({0, 1}))
        status = status_of(
            StatusInput(feed=feed(), universe=UNIVERSE, workers=workers, placement=asked),
            now=datetime(2026, 11, 21, tzinfo=UTC),
        )
        assert [(line.reason, line.message) for line in status.shards] == [
            ("Draining", "is being drained: 1 contract to go"),
            ("Drained", "is drained, until its annotation ibfeed.dev/drain is taken away"),
        ]

    def test_the_number_of_workers_is_remembered_once_they_share(self) -> None:
        old = replace(feed(workers=3), status=FeedStatus(balanced_workers=2))
        now = datetime(2026, 11, 21, tzinfo=UTC)
        assert status_of(StatusInput(feed=old, universe=UNIVERSE), now=now).balanced_workers == 2
        assert status_of(StatusInput(feed=old, universe=UNIVERSE, balanced=True), now=now).balanced_workers == 3
