"""Expiry over days: the universe, the planner and the hand-over together, with workers that obey at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.calls import ResolvedContract
from ibfeed_api.feed import Root
from ibfeed_api.shard import ContractState, Entry, EntryState, Report
from ibfeed_operator.controller.universe_resolver import AHEAD
from ibfeed_operator.liveness.tracker import Verdict
from ibfeed_operator.model.feed_status import FeedStatus
from ibfeed_operator.model.types import Feed, Health, RootProblemKind, WorkerHealth
from ibfeed_operator.planning.assignment import decide
from ibfeed_operator.planning.handover import step
from ibfeed_operator.planning.handover_state import Holding
from ibfeed_operator.planning.universe import Answer, merge, remembered, trading_day
from support.build import feed, shard

FIRST = date(2027, 1, 4)
SAYS = {
    EntryState.ACTIVE: ContractState.PUBLISHING,
    EntryState.STANDBY: ContractState.WARM,
    EntryState.RETIRING: ContractState.RELEASED,
}


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 12, 21, 19, 29, tzinfo=UTC), "20261221"),  # 14:29 in New York: CL still trades for a minute
        (datetime(2026, 12, 21, 21, 59, 59, tzinfo=UTC), "20261221"),
        (datetime(2026, 12, 21, 22, 0, tzinfo=UTC), "20261222"),  # 16:00 in Chicago, in winter
        (datetime(2026, 12, 22, 0, 0, tzinfo=UTC), "20261222"),
        (
            datetime(2026, 7, 21, 22, 0, tzinfo=UTC),
            "20260722",
        ),  # 17:00 in Chicago, in summer: the evening session opens
        (datetime(2026, 12, 31, 22, 0, tzinfo=UTC), "20270101"),
        (datetime.fromisoformat("2026-12-21T17:30:00-06:00"), "20261222"),
    ],
)
def test_a_day_ends_when_globex_does(moment: datetime, day: str) -> None:
    assert trading_day(moment) == day


@dataclass
class Market:
    """What IB lists of each root: a contract every ``every`` days."""

    every: dict[str, int]

    def listed(self, root: str, months: int, since: date) -> tuple[ResolvedContract, ...]:
        number = 1
        found: list[ResolvedContract] = []
        while len(found) < months:
            last = FIRST + timedelta(days=number * self.every[root])
            if last >= since:
                conid = 1000 * (1 + sorted(self.every).index(root)) + number
                text = last.strftime("%Y%m%d")
                found.append(
                    ResolvedContract(
                        conid=conid,
                        root=root,
                        symbol=f"{root}{number}",
                        exchange="X",
                        contract_month=text[:6],
                        last_trading_day=text,
                    )
                )
            number += 1
        return tuple(found)


@dataclass
class World:
    market: Market
    workers: int
    months: int
    lines: int = 100
    day: date = FIRST
    feed: Feed = field(init=False)
    answers: dict[str, Answer] = field(default_factory=dict)
    entries: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    troubles: set[RootProblemKind] = field(default_factory=set)

    def __post_init__(self) -> None:
        roots = tuple(Root(symbol=root) for root in self.market.every)
        self.feed = feed(roots=roots, workers=self.workers, front_months=self.months)
        self.entries = dict.fromkeys(range(self.workers), ())

    @property
    def today(self) -> str:
        return self.day.strftime("%Y%m%d")

    @property
    def placed(self) -> dict[int, tuple[int, int, int]]:
        """Conid -> worker, slot, epoch; no contract twice."""
        found = [(e.conid, (worker, e.slot, e.epoch)) for worker, mine in self.entries.items() for e in mine]
        assert len(dict(found)) == len(found)
        return dict(found)

    def ask(self, root: str, *, forget: int | None = None, trouble: RootProblemKind | None = None) -> None:
        contracts = () if trouble else self.market.listed(root, self.months + AHEAD, self.day)
        contracts = tuple(one for place, one in enumerate(contracts) if place != forget)
        self.answers[root] = Answer(root=root, months=self.months + AHEAD, contracts=contracts, problem=trouble)

    def cycle(self) -> None:
        """Decide and write until nothing changes, each worker obeying between two steps."""
        for _ in range(20):
            shards = [shard(worker, *mine) for worker, mine in self.entries.items()]
            universe = merge(self.feed.spec, remembered(self.feed, shards), self.answers, today=self.today)
            self.troubles = {problem.kind for problem in universe.problems}
            verdicts = {
                worker: Verdict(health=WorkerHealth(state=Health.STREAMING), silent=False) for worker in self.entries
            }
            holdings = [
                Holding(
                    worker=worker,
                    entries=mine,
                    reports=tuple(Report(conid=e.conid, epoch=e.epoch, state=SAYS[e.state]) for e in mine),
                    lines=self.lines,
                )
                for worker, mine in self.entries.items()
            ]
            rewrites = step(holdings, decide(self.feed, universe, holdings, verdicts).targets)
            if not rewrites:
                return
            self.entries |= {rewrite.worker: rewrite.entries for rewrite in rewrites}
            highest = max((e.epoch for mine in self.entries.values() for e in mine), default=0)
            status = FeedStatus(highest_epoch=max(highest, self.feed.status.highest_epoch))
            self.feed = replace(self.feed, status=status)
        raise AssertionError("the hand-over does not come to an end")

    def wanted(self) -> set[int]:
        return {one.conid for root in self.market.every for one in self.market.listed(root, self.months, self.day)}


def begun(market: Market, workers: int, months: int) -> World:
    world = World(market, workers, months)
    for root in market.every:
        world.ask(root)
    world.cycle()
    assert set(world.placed) == world.wanted()
    return world


MARKETS = st.dictionaries(st.sampled_from(["CL", "ES", "GC", "NG"]), st.integers(1, 30), min_size=1).map(Market)


@settings(max_examples=20)
@given(MARKETS, st.integers(1, 5), st.integers(1, 6), st.integers(1, 15))
def test_day_after_day_successors_take_the_places_and_nobody_else_is_touched(
    market: Market, workers: int, months: int, days: int
) -> None:
    world = begun(market, workers, months)
    slots = set(range(len(world.placed)))
    for _ in range(days):
        before = world.placed
        world.day += timedelta(days=1)
        world.cycle()  # what IB said yesterday is all there is
        after = world.placed
        assert set(after) == world.wanted()
        assert {conid: place for conid, place in after.items() if conid in before} == {
            conid: place for conid, place in before.items() if conid in after
        }
        assert {slot for _, slot, _ in after.values()} == slots
        assert {e.state for mine in world.entries.values() for e in mine} <= {EntryState.ACTIVE}
        for root in market.every:
            world.ask(root)
        world.cycle()
        assert world.placed == after
        assert not world.troubles


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 20),  # days that pass
        st.sampled_from(["answers", "forgets", "knows nothing", "fails", "new operator"]),
        st.integers(0, 6),
    ),
    max_size=10,
)


@settings(max_examples=40)
@given(MARKETS, st.integers(1, 5), st.integers(1, 6), EVENTS)
def test_whatever_ib_says_living_contracts_stay_where_they_are(
    market: Market, workers: int, months: int, events: list[tuple[int, str, int]]
) -> None:
    world = begun(market, workers, months)
    for days, event, place in events:
        before = world.placed
        world.day += timedelta(days=days)
        if event == "new operator":
            world.answers = {}
        world.cycle()
        for root in market.every if event != "new operator" else ():
            match event:
                case "answers":
                    world.ask(root)
                case "forgets":
                    world.ask(root, forget=place)
                case "knows nothing":
                    world.ask(root, trouble=RootProblemKind.UNKNOWN)
                case _:
                    world.ask(root, trouble=RootProblemKind.FAILED)
            world.cycle()
        after = world.placed
        alive = before.keys() & world.wanted()
        assert alive <= after.keys()
        assert all(after[conid][1] == before[conid][1] for conid in alive), "slots are for life"
        moved = [conid for conid in alive if after[conid][0] != before[conid][0]]
        assert len(moved) <= len(before.keys() - after.keys())
        if event == "answers":
            assert set(after) == world.wanted()


def test_an_answer_that_lost_contracts_at_the_roll_is_told_and_the_living_stay() -> None:
    world = begun(Market({"CL": 10}), 3, 6)
    before = world.placed
    world.day = FIRST + timedelta(days=11)
    world.ask("CL", forget=1)
    world.cycle()
    assert RootProblemKind.SHRANK in world.troubles
    living = {conid: place for conid, place in before.items() if conid != 1001}
    assert world.placed == living
    world.ask("CL", trouble=RootProblemKind.UNKNOWN)
    world.cycle()
    assert RootProblemKind.SHRANK in world.troubles
    assert world.placed == living
    world.ask("CL")
    world.cycle()
    assert not world.troubles
    assert world.placed.keys() - living.keys() == {1007}
    assert world.placed[1007][1] == before[1001][1]


def test_entries_are_as_the_market_listed_them() -> None:
    world = begun(Market({"CL": 10}), 1, 1)
    (entry,) = world.entries[0]
    assert msgspec.to_builtins(entry)["lastTradingDay"] == "20270114"
