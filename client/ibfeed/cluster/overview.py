"""``ibfeed status``: what is shown of all feeds, and of one feed. No I/O."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from ibfeed.cluster.accounts import Accounts
from ibfeed.cluster.objects import Condition, Entry, Feed, FeedContract, Report, Shard, Sink
from ibfeed.cluster.times import moment

_RANKS = {"Active": 2, "Retiring": 1, "Standby": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLine:
    """One feed in a list.

    Args:
        since: when ``ready`` last changed.
        message: of condition Ready: what is wrong, or ``streaming``.
    """

    namespace: str
    name: str
    ready: bool
    reason: str
    message: str
    since: dt.datetime | None
    contracts: int
    publishing: int
    standbys: int
    workers: int
    wanted_workers: int
    suspended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    """One worker of a feed. ``last_tick``: of any of its contracts, as it reported within the last ten seconds."""

    name: str
    session: str
    account: int | None
    contracts: int
    publishing: int
    standbys: int
    drained: bool
    last_tick: dt.datetime | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractLine:
    """One contract of a feed. ``state``: see ``state_of``; ``partition``: of the topic of ticks."""

    symbol: str
    conid: int
    worker: str
    state: str
    partition: int
    standby: str
    last_tick: dt.datetime | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkLine:
    """One sink of a feed."""

    name: str
    destination: str
    ready: bool
    lag: int | None
    latency_p99_ms: int | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """One feed with all that it has. ``accounts`` is None if the user may not read Leases."""

    feed: FeedLine
    conditions: tuple[Condition, ...]
    workers: tuple[WorkerLine, ...]
    contracts: tuple[ContractLine, ...]
    accounts: Accounts | None
    sinks: tuple[SinkLine, ...]

    @property
    def problems(self) -> tuple[Condition, ...]:
        """Conditions that are not as they should be, but Ready, which repeats the worst of them."""
        return tuple(one for one in self.conditions if one.type != "Ready" and _is_bad(one))


def _is_bad(condition: Condition) -> bool:
    good = {"Rebalancing": "False", "Suspended": "False"}.get(condition.type, "True")
    return condition.status not in (good, "Unknown")


def feed_line(feed: Feed) -> FeedLine:
    ready, status = feed.condition("Ready"), feed.status
    return FeedLine(
        namespace=feed.metadata.namespace,
        name=feed.name,
        ready=ready.status == "True",
        reason=ready.reason,
        message=ready.message,
        since=moment(ready.last_transition_time),
        contracts=status.contract_count,
        publishing=status.publishing_count,
        standbys=status.standby_count,
        workers=status.workers,
        wanted_workers=feed.spec.workers,
        suspended=feed.spec.suspend,
    )


def feed_page(feed: Feed, shards: Iterable[Shard], sinks: Iterable[Sink], accounts: Accounts | None) -> FeedPage:
    by_name = {shard.name: shard for shard in shards}
    return FeedPage(
        feed=feed_line(feed),
        conditions=feed.status.conditions,
        workers=tuple(_workers(feed, by_name)),
        contracts=tuple(_contracts(feed, by_name)),
        accounts=accounts,
        sinks=tuple(_sink(sink) for sink in sinks if sink.spec.feed_ref.name == feed.name),
    )


def _workers(feed: Feed, shards: dict[str, Shard]) -> Iterable[WorkerLine]:
    for one in feed.status.shards:
        shard = shards.get(one.worker)
        yield WorkerLine(
            name=one.worker,
            session=one.session,
            account=one.account,
            contracts=one.contracts,
            publishing=one.publishing,
            standbys=one.standbys,
            drained=shard is not None and shard.drained,
            last_tick=moment(shard.status.last_tick_time) if shard is not None else None,
            reason=one.reason,
            message=one.message,
        )


def _contracts(feed: Feed, shards: dict[str, Shard]) -> Iterable[ContractLine]:
    why = {one.conid: one for one in feed.status.unassigned}
    partitions = feed.spec.kafka.topics.ticklast.partitions
    reports = {
        (shard.name, entry.conid): report
        for shard in shards.values()
        for entry in shard.spec.contracts
        if not entry.hot and (report := shard.report(entry)) is not None
    }
    for one in feed.status.contracts:
        report = reports.get((one.worker or "", one.conid))
        missing = why.get(one.conid)
        yield ContractLine(
            symbol=one.symbol,
            conid=one.conid,
            worker=one.worker or "",
            state=state_of(one, report),
            partition=one.slot % partitions,
            standby=one.standby or "",
            last_tick=moment(report.last_tick_time) if report is not None else None,
            message=missing.message if missing is not None else report.message if report is not None else "",
        )


def state_of(contract: FeedContract, report: Report | None) -> str:
    """Return the state of a contract, ``report`` being that of its worker.

    That it is publishing only the operator can say: a worker that is dead has left its last report behind. Until the
    operator believes it, the contract is no more than ``assigned``.
    """
    if contract.publishing:
        return "publishing"
    if contract.worker is None:
        return "unassigned"
    return report.state if report is not None and report.state != "publishing" else "assigned"


def _sink(sink: Sink) -> SinkLine:
    unknown = Condition(type="Ready", status="Unknown", message="the operator has not looked at it yet")
    ready = next((one for one in sink.status.conditions if one.type == "Ready"), unknown)
    return SinkLine(
        name=sink.metadata.name,
        destination=sink.status.destination,
        ready=ready.status == "True",
        lag=sink.status.lag,
        latency_p99_ms=sink.status.latency_p99_ms,
        reason=ready.reason,
        message=ready.message,
    )


def places_of(conid: int, shards: Iterable[Shard]) -> list[tuple[Shard, Entry]]:
    """Return the shards that have a contract, but as a hot standby; the one that has it now first."""
    found = [(shard, entry) for shard in shards for entry in shard.spec.contracts if entry.conid == conid]
    moving = [(shard, entry) for shard, entry in found if not entry.hot]
    return sorted(moving, key=lambda item: (-_RANKS.get(item[1].state, -1), -item[1].epoch))
