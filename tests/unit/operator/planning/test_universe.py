from __future__ import annotations

from typing import Any

import msgspec

from ibfeed_api.calls import ResolvedContract
from ibfeed_api.feed import Depth, Root
from ibfeed_operator.model.feed_status import ContractStatus, FeedStatus
from ibfeed_operator.model.types import Contract, RootProblemKind, Universe
from ibfeed_operator.planning.universe import Answer, alive_by_root, merge, remembered
from support.build import contract, entry, feed, shard

TODAY = "20270115"
DAYS = [f"2027{month:02d}20" for month in range(1, 13)]


def resolved(*months: int, root: str = "CL", base: int = 0) -> tuple[ResolvedContract, ...]:
    return tuple(
        ResolvedContract(
            conid=base + month,
            root=root,
            symbol=f"{root}{month}",
            exchange="NYMEX",
            contract_month=DAYS[month - 1][:6],
            last_trading_day=DAYS[month - 1],
        )
        for month in months
    )


def known_of(*months: int) -> dict[int, Contract]:
    return {month: contract(month, day=DAYS[month - 1], slot=month) for month in months}


def conids(universe: Universe) -> list[int]:
    return [contract.conid for contract in universe.contracts]


THREE = feed(front_months=3).spec


class TestMerge:
    def test_first_answer(self) -> None:
        universe = merge(THREE, {}, {"CL": Answer(root="CL", months=3, contracts=resolved(1, 2, 3))}, today=TODAY)
        assert conids(universe) == [1, 2, 3]
        assert [contract.slot for contract in universe.contracts] == [0, 1, 2]
        assert universe.resolved
        assert not universe.problems

    def test_not_asked_yet(self) -> None:
        universe = merge(THREE, {}, {}, today=TODAY)
        assert not universe.resolved
        assert universe.problems[0].kind is RootProblemKind.WAITING

    def test_restart_knows_everything_from_the_cluster(self) -> None:
        universe = merge(THREE, known_of(1, 2, 3), {}, today=TODAY)
        assert universe.resolved
        assert universe.contracts == tuple(known_of(1, 2, 3).values())

    def test_expired_leaves_though_nobody_was_asked(self) -> None:
        assert conids(merge(THREE, known_of(1, 2, 3), {}, today="20270121")) == [2, 3]

    def test_it_streams_on_its_last_trading_day(self) -> None:
        assert conids(merge(THREE, known_of(1, 2, 3), {}, today="20270120")) == [1, 2, 3]

    def test_roll_keeps_the_slots_of_those_who_stay(self) -> None:
        answer = Answer(root="CL", months=3, contracts=resolved(2, 3, 4))
        universe = merge(THREE, known_of(1, 2, 3), {"CL": answer}, today="20270121")
        assert {contract.conid: contract.slot for contract in universe.contracts} == {2: 2, 3: 3, 4: 0}

    def test_successor_gets_the_slot_that_becomes_free(self) -> None:
        answer = Answer(root="CL", months=3, contracts=resolved(2, 3, 4))
        known = {n: contract(n, day=DAYS[n - 1], slot=slot) for n, slot in ((1, 1), (2, 0), (3, 2))}
        universe = merge(THREE, known, {"CL": answer}, today="20270121")
        assert {contract.conid: contract.slot for contract in universe.contracts} == {2: 0, 3: 2, 4: 1}

    def test_unknown_root(self) -> None:
        universe = merge(THREE, {}, {"CL": Answer(root="CL", months=3, problem=RootProblemKind.UNKNOWN)}, today=TODAY)
        assert conids(universe) == []
        assert universe.problems[0].kind is RootProblemKind.UNKNOWN
        assert universe.resolved

    def test_root_that_is_unknown_all_at_once_keeps_what_was_good(self) -> None:
        answer = Answer(root="CL", months=3, problem=RootProblemKind.UNKNOWN)
        universe = merge(THREE, known_of(1, 2, 3), {"CL": answer}, today=TODAY)
        assert conids(universe) == [1, 2, 3]
        assert universe.problems[0].kind is RootProblemKind.SHRANK
        assert "CL1, CL2, CL3" in universe.problems[0].message
        assert universe.resolved

    def test_successor_known_beforehand_enters_when_the_day_turns(self) -> None:
        answer = Answer(root="CL", months=4, contracts=resolved(1, 2, 3, 4))
        assert conids(merge(THREE, known_of(1, 2, 3), {"CL": answer}, today="20270120")) == [1, 2, 3]
        universe = merge(THREE, known_of(1, 2, 3), {"CL": answer}, today="20270121")
        assert {contract.conid: contract.slot for contract in universe.contracts} == {2: 2, 3: 3, 4: 0}
        assert not universe.problems

    def test_answer_that_forgets_a_living_contract_is_not_believed(self) -> None:
        answer = Answer(root="CL", months=3, contracts=resolved(1, 3, 4))
        universe = merge(THREE, known_of(1, 2, 3), {"CL": answer}, today=TODAY)
        assert conids(universe) == [1, 2, 3]
        assert universe.problems[0].kind is RootProblemKind.SHRANK
        assert "CL2" in universe.problems[0].message

    def test_shorter_answer_without_the_last_is_not_believed(self) -> None:
        answer = Answer(root="CL", months=3, contracts=resolved(1, 2))
        assert conids(merge(THREE, known_of(1, 2, 3), {"CL": answer}, today=TODAY)) == [1, 2, 3]

    def test_nearer_contract_that_IB_lists_anew_pushes_the_last_one_out(self) -> None:  # noqa: N802
        answer = Answer(root="CL", months=3, contracts=resolved(1, 2, 3))
        universe = merge(THREE, known_of(2, 3, 4), {"CL": answer}, today=TODAY)
        assert conids(universe) == [1, 2, 3]
        assert not universe.problems

    def test_fewer_front_months_need_no_answer(self) -> None:
        assert conids(merge(feed(front_months=2).spec, known_of(1, 2, 3), {}, today=TODAY)) == [1, 2]

    def test_removed_root_leaves(self) -> None:
        spec = feed(roots=(Root(symbol="NG"),)).spec
        assert conids(merge(spec, known_of(1, 2), {}, today=TODAY)) == []

    def test_depth_marks_the_nearest(self) -> None:
        spec = feed(front_months=3, roots=(Root(symbol="CL", depth=Depth(front_months=2)),)).spec
        universe = merge(spec, known_of(1, 2, 3), {}, today=TODAY)
        assert [contract.depth for contract in universe.contracts] == [True, True, False]

    def test_own_front_months_of_a_root(self) -> None:
        spec = feed(roots=(Root(symbol="CL", front_months=1),)).spec
        assert conids(merge(spec, known_of(1, 2, 3), {}, today=TODAY)) == [1]


class TestRemembered:
    def test_shards_before_status_and_both_together(self) -> None:
        old = ContractStatus(conid=1, symbol="CL1", root="CL", last_trading_day="20270120", slot=7)
        only = ContractStatus(conid=2, symbol="CL2", root="CL", last_trading_day="20270220", slot=8)
        facts = msgspec.structs.replace(FeedStatus(), contracts=(old, only))
        known = remembered(
            type(feed())(**{**_fields(feed()), "status": facts}), [shard(0, entry(1, day="20270120", slot=3))]
        )
        assert {conid: contract.slot for conid, contract in known.items()} == {1: 3, 2: 8}


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in type(value).__slots__}


def test_alive_by_root() -> None:
    roots = (Root(symbol="CL"), Root(symbol="NG"))
    alive = alive_by_root(roots, known_of(3, 1, 2) | {9: contract(9, root="NG", day="20270101")}, today="20270121")
    assert {root: [contract.conid for contract in found] for root, found in alive.items()} == {"CL": [2, 3], "NG": []}
