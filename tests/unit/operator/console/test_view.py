"""What the page shows of feeds, workers, accounts and contracts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ibfeed_api.shard import ContractState, EntryState, KafkaStatus, Report, Session
from ibfeed_operator.console.view import FeedInput, gather, owners, show_contracts, show_feed, show_sink
from ibfeed_operator.model.decode import InvalidFeed
from ibfeed_operator.model.feed_status import ConditionStatus, ContractStatus, FeedStatus, UnassignedStatus
from ibfeed_operator.sinks.model import Sink, SinkStatus
from support.build import STARTED, entry, feed, lease, shard


def listed(conid: int, worker: str | None) -> ContractStatus:
    return ContractStatus(conid=conid, symbol=f"CL{conid}", root="CL", slot=conid, epoch=1, worker=worker)


def test_each_feed_gets_its_own_shards_and_accounts() -> None:
    energy = feed()
    other = replace(energy, name="other", namespace="elsewhere")
    logins = replace(lease(0), index=-1)
    found = gather(
        [other, energy],
        [("default", shard(1)), ("default", shard(0)), ("elsewhere", shard(2))],
        [("default", lease(1)), ("default", lease(0)), ("default", logins)],
    )
    assert [(one.feed.name, [s.name for s in one.shards], [a.index for a in one.leases]) for one in found] == [
        ("energy", ["energy-0", "energy-1"], [1, 2]),
        ("other", [], []),
    ]


def test_contract_is_publishing_only_under_the_epoch_of_its_entry() -> None:
    reports = (
        Report(conid=1, epoch=4, state=ContractState.PUBLISHING, last_tick_time="2026-11-28T03:00:00Z"),
        Report(conid=2, epoch=3, state=ContractState.PUBLISHING),
    )
    worker = shard(0, entry(1, epoch=4, slot=14), entry(2, epoch=4), contracts=reports)
    shown = show_contracts(FeedInput(feed=feed(), shards=(worker,)))
    assert [(c.symbol, c.state, c.worker, c.partition) for c in shown] == [
        ("CL1", "publishing", "energy-0", 2),
        ("CL2", "assigned", "energy-0", 0),
    ]
    assert shown[0].last_ms == 1795834800000
    assert show_feed(FeedInput(feed=feed(), shards=(worker,)), STARTED).workers[0].publishing == 1


def test_contract_on_its_way_is_moving_and_keeps_its_place() -> None:
    status = FeedStatus(contracts=(listed(1, "energy-0"), listed(2, None)))
    old = shard(0, entry(1, state=EntryState.RETIRING))
    new = shard(1, entry(1, state=EntryState.STANDBY))
    shown = show_contracts(FeedInput(feed=replace(feed(), status=status), shards=(old, new)))
    assert [(c.symbol, c.state, c.worker) for c in shown] == [("CL1", "moving", "energy-0"), ("CL2", "unassigned", "")]
    assert owners(shown) == {1: "energy-0"}


def test_hot_standby_is_no_move() -> None:
    owner = shard(0, entry(1))
    heir = shard(1, entry(1, state=EntryState.STANDBY, hot=True))
    (shown,) = show_contracts(FeedInput(feed=feed(), shards=(owner, heir)))
    assert (shown.state, shown.worker) == ("assigned", "energy-0")


def test_unassigned_contract_says_why() -> None:
    why = UnassignedStatus(conid=2, symbol="CL2", reason="Capacity", message="all lines are used")
    status = FeedStatus(contracts=(listed(2, None),), unassigned=(why,))
    (shown,) = show_contracts(FeedInput(feed=replace(feed(), status=status)))
    assert (shown.state, shown.message) == ("unassigned", "all lines are used")


def test_accounts_are_held_free_waiting_or_parked() -> None:
    soon = STARTED + timedelta(minutes=5)
    leases = (
        lease(0),
        lease(1, holder=""),
        lease(2, holder="", next_login=soon),
        lease(3, parked="WrongPassword"),
        lease(4, holder="", next_login=STARTED - timedelta(minutes=5)),
    )
    shown = show_feed(FeedInput(feed=feed(), leases=leases), STARTED).accounts
    assert [(a.index, a.state) for a in shown] == [(1, "held"), (2, "free"), (3, "waiting"), (4, "parked"), (5, "free")]
    assert (shown[0].holder, shown[2].message) == ("energy-0", "next login at 12:05:00 UTC")


def test_worker_says_its_kafka_first() -> None:
    cut_off = KafkaStatus(reachable=False, message="no broker answers at kafka:9092")
    shown = show_feed(FeedInput(feed=feed(), shards=(shard(0, kafka=cut_off, message="logged in"),)), STARTED)
    assert (shown.workers[0].message, shown.workers[0].kafka) == ("no broker answers at kafka:9092", False)


def test_worker_without_a_report_is_absent() -> None:
    shown = show_feed(FeedInput(feed=feed(), shards=(shard(0, session=None),)), STARTED)
    assert shown.workers[0].session == "Absent"
    assert Session.STREAMING.value == "Streaming", "the page colours sessions by these words"


def test_feed_that_cannot_be_read_says_why() -> None:
    broken = InvalidFeed(
        namespace="default",
        name="x",
        uid="",
        generation=1,
        resource_version="",
        message="no",
        status=FeedStatus(),
    )
    shown = show_feed(FeedInput(feed=broken), STARTED)
    assert (shown.ready, shown.message, shown.source) == ("False", "no", "")


def test_sink_shows_lag_and_the_cause_of_trouble() -> None:
    ready = ConditionStatus(
        type="Ready", status="False", reason="X", message="refused", last_transition_time="", observed_generation=1
    )
    status = SinkStatus(conditions=(ready,), lag=3, latency_p99_ms=70, destination="redis")
    sink = Sink(namespace="default", name="hot", uid="", generation=1, resource_version="", spec=None, status=status)
    shown = show_sink(sink)
    assert (shown.key, shown.ready, shown.message, shown.lag) == ("default/hot", "False", "refused", 3)
