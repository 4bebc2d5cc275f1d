"""What would move if an edited spec were applied, by the planner itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.feed import Accounts, FeedSpec, Kafka, Rebalance, Root, SecretRef, Standby
from ibfeed_api.plan import ChangeKind, PlanDocument, WorkerChange
from ibfeed_api.shard import ContractState, EntryState, Report, Session
from ibfeed_operator.model.types import RootProblemKind
from ibfeed_operator.planning.preview import World, preview
from ibfeed_operator.planning.universe import Answer
from support import build
from support.build import STARTED

CONIDS = range(1, 13)


def world(workers: int = 3, *, contracts: int = 12, **spec: Any) -> World:
    """A feed whose workers stream, with its contracts spread over them evenly."""
    feed = build.feed(workers=workers, front_months=12, **spec)
    shards, pods, leases = [], [], []
    for worker in range(workers):
        mine = [conid for conid in CONIDS if conid <= contracts and (conid - 1) % workers == worker]
        entries = tuple(build.entry(conid, day=f"202712{conid + 10}", slot=conid) for conid in mine)
        reports = tuple(Report(conid=one.conid, epoch=one.epoch, state=ContractState.PUBLISHING) for one in entries)
        shards.append(build.shard(worker, *entries, contracts=reports))
        pods.append(build.pod(worker, node=f"node-{worker}"))
        leases.append(build.lease(worker))
    return World(feed=feed, shards=tuple(shards), pods=tuple(pods), leases=tuple(leases), now=STARTED)


def edited(of: World, **change: Any) -> FeedSpec:
    return msgspec.structs.replace(of.feed.spec, **change)


def plan(of: World, **change: Any) -> PlanDocument:
    return preview(of, edited(of, **change))


def routes(plan: PlanDocument) -> Counter[tuple[str | None, str | None]]:
    return Counter((one.source, one.target) for one in plan.changes)


def test_same_spec_changes_nothing() -> None:
    found = plan(world())
    assert (found.changes, found.standbys, found.restarts, found.notes) == ((), (), (), ())
    assert [(one.worker, one.change, one.account, one.contracts_after) for one in found.workers] == [
        ("energy-0", WorkerChange.KEPT, 1, 4),
        ("energy-1", WorkerChange.KEPT, 2, 4),
        ("energy-2", WorkerChange.KEPT, 3, 4),
    ]


def test_another_worker_gets_its_share_and_an_account() -> None:
    found = plan(world(), workers=4)
    assert routes(found) == {("energy-0", "energy-3"): 1, ("energy-1", "energy-3"): 1, ("energy-2", "energy-3"): 1}
    assert {one.reason for one in found.changes} == {"loads are evened (rebalance: Always)"}
    assert {one.kind for one in found.changes} == {ChangeKind.MOVE}
    newcomer = found.workers[3]
    assert (newcomer.change, newcomer.account, newcomer.contracts_before, newcomer.contracts_after) == (
        WorkerChange.ADDED,
        4,
        0,
        3,
    )


def test_worker_that_is_not_wanted_gives_all_away() -> None:
    found = plan(world(), workers=2)
    assert {one.reason for one in found.changes} == {"energy-2 is no longer wanted"}
    assert routes(found) == {("energy-2", "energy-0"): 2, ("energy-2", "energy-1"): 2}
    assert (found.workers[2].change, found.workers[2].contracts_after) == (WorkerChange.REMOVED, 0)


def test_worker_without_an_account_gets_nothing_and_is_named() -> None:
    accounts = Accounts(secret_ref=SecretRef(name="paper"), count=3)
    found = plan(world(accounts=accounts), workers=4)
    assert found.changes == ()
    assert (found.workers[3].account, found.workers[3].contracts_after) == (None, 0)
    assert found.notes == ("No account is left for energy-3: raise spec.accounts.count, or ask for fewer workers.",)


def test_fewer_months_remove_the_farthest() -> None:
    found = plan(world(), front_months=10, rebalance=Rebalance.NEVER)
    assert {one.symbol for one in found.changes} == {"CL11", "CL12"}
    assert {(one.kind, one.target, one.reason) for one in found.changes} == {
        (ChangeKind.REMOVED, None, "it is beyond frontMonths")
    }


def test_root_that_goes_takes_its_contracts_along() -> None:
    found = plan(world(), roots=(Root(symbol="NG"),))
    assert {one.reason for one in found.changes} == {"CL is no root of the feed"}
    assert len(found.changes) == 12


def test_new_root_is_asked_for_later_unless_ib_has_told_it() -> None:
    known = world()
    roots = (Root(symbol="CL"), Root(symbol="NG"))
    found = plan(known, roots=roots)
    assert found.changes == ()
    assert "contracts of NG once the spec is applied" in found.notes[0]
    unknown = Answer(root="NG", months=12, problem=RootProblemKind.UNKNOWN, message="IB does not know NG")
    assert plan(replace(known, answers={"NG": unknown}), roots=roots).notes == ("IB does not know NG",)


def test_more_months_than_are_known_are_named() -> None:
    found = plan(world(), front_months=15)
    assert found.notes == ("CL: 12 of 15 months are known; IB is asked for the rest once it is applied.",)


def test_lines_that_do_not_suffice_leave_the_farthest_without_a_worker() -> None:
    accounts = Accounts(secret_ref=SecretRef(name="paper"), count=10, lines_per_account=3)
    found = plan(world(), accounts=accounts)
    assert [one.symbol for one in found.changes] == ["CL10", "CL11", "CL12"]
    assert {(one.kind, one.target) for one in found.changes} == {(ChangeKind.UNASSIGNED, None)}
    assert all("add workers" in one.reason for one in found.changes)
    assert {one.contracts_after for one in found.workers} == {3}


def test_move_that_the_present_spec_asks_for_is_no_effect_of_the_edit() -> None:
    drained = world()
    shards = (*drained.shards[:2], replace(drained.shards[2], drain="true"))
    found = plan(replace(drained, shards=shards), rebalance=Rebalance.NEVER)
    assert {(one.reason, one.anyway) for one in found.changes} == {("energy-2 is drained", True)}
    assert not any(one.anyway for one in plan(world(), workers=2).changes)


def test_hot_standbys_are_planned_at_other_workers() -> None:
    found = plan(world(), standby=Standby.HOT)
    assert (len(found.standbys), found.changes) == (12, ())
    assert {one.source for one in found.standbys} == {None}
    assert [one.standbys_after for one in found.workers] == [4, 4, 4]
    alone = plan(world(workers=1, contracts=4), standby=Standby.HOT)
    assert alone.notes[-1] == "No line is left to hold 4 contracts ready."


def test_suspended_feed_keeps_all_and_comes_back() -> None:
    found = plan(world(), suspend=True)
    assert found.changes == ()
    assert found.notes[0].startswith("spec.suspend is true: all workers log out")
    asleep = world(suspend=True)
    shards = tuple(
        replace(one, status=msgspec.structs.replace(one.status, session=Session.STOPPED))
        for one in asleep.shards
        if one.status is not None
    )
    found = plan(replace(asleep, pods=(), shards=shards), suspend=False)
    assert (found.changes, found.notes) == ((), ("The feed is resumed: its workers log in one after the other.",))


def test_only_a_change_of_the_pods_restarts_workers() -> None:
    assert plan(world(), kafka=Kafka(bootstrap_servers="other:9092")).restarts == ("energy-0", "energy-1", "energy-2")
    assert plan(world(), rebalance=Rebalance.NEVER, workers=4).restarts == ()


def test_lost_worker_stays_lost_and_is_named() -> None:
    ill = world()
    found = plan(replace(ill, pods=ill.pods[:2]), rebalance=Rebalance.NEVER)
    assert "Lost now, and so in this plan: energy-2." in found.notes
    assert {(one.source, one.anyway) for one in found.changes} == {("energy-2", True)}


def test_worker_on_its_way_is_taken_for_streaming_and_named() -> None:
    of = world()
    empty = build.shard(2, session=Session.LOGGING_IN)
    found = plan(replace(of, shards=(*of.shards[:2], empty)), front_months=8)
    assert found.workers[2].contracts_after > 0
    assert found.notes[-1] == "Taken for streaming here, though it is not so yet: energy-2."


def test_account_of_a_departing_worker_is_not_free_yet() -> None:
    of = world(accounts=Accounts(secret_ref=SecretRef(name="paper"), count=3))
    parked, busy, unheld = of.leases
    leases = (replace(parked, parked="WrongCredentials"), busy, replace(unheld, holder=""))
    assert plan(replace(of, leases=leases), workers=2).workers[0].account == 1


@pytest.mark.parametrize("state", [EntryState.STANDBY, EntryState.RETIRING])
def test_contract_on_the_move_is_where_it_was_until_it_has_moved(state: EntryState) -> None:
    moving = world()
    more = msgspec.structs.replace(build.entry(1, day="20271211", slot=1), state=state, epoch=2)
    shard = moving.shards[1]
    spec = msgspec.structs.replace(shard.spec, contracts=(*shard.spec.contracts, more))
    found = plan(replace(moving, shards=(moving.shards[0], replace(shard, spec=spec), moving.shards[2])))
    assert all(one.anyway for one in found.changes)


@given(
    before=st.integers(1, 5),
    after=st.integers(1, 6),
    lines=st.integers(2, 12),
    months=st.integers(1, 12),
    rebalance=st.sampled_from(Rebalance),
)
@settings(max_examples=60, deadline=None)
def test_changes_lead_from_what_is_to_what_is_planned(
    before: int, after: int, lines: int, months: int, rebalance: Rebalance
) -> None:
    """The changes applied to the present loads give the loads that are told of each worker, within its lines."""
    accounts = Accounts(secret_ref=SecretRef(name="paper"), count=10, lines_per_account=lines)
    of = world(before)
    found = plan(of, workers=after, accounts=accounts, front_months=months, rebalance=rebalance)
    loads = Counter({one.worker: one.contracts_before for one in found.workers})
    for change in found.changes:
        assert change.source != change.target or change.target is None
        if change.source is not None:
            loads[change.source] -= 1
        if change.target is not None:
            loads[change.target] += 1
    assert +loads == {one.worker: one.contracts_after for one in found.workers if one.contracts_after}
    assert all(one.contracts_after <= max(lines, one.contracts_before) for one in found.workers)
    assert sum(loads.values()) == min(months, lines * after)
