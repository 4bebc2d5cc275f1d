"""Feeds, workers, accounts, contracts and sinks as the page shows them, made of their resources. Pure.

Each struct is sent to the browser as JSON under the names of its fields. ``key`` is ``namespace/name``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from ibfeed_api.lease import pod_of
from ibfeed_api.reasons import Condition
from ibfeed_api.shard import ContractState, Entry, EntryState, Report
from ibfeed_operator.model.decode import InvalidFeed
from ibfeed_operator.model.types import AccountLease, Feed, Shard
from ibfeed_operator.sinks.model import Sink


class _Shown(msgspec.Struct, frozen=True, kw_only=True):
    pass


class ShownCondition(_Shown, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str
    message: str


class ShownWorker(_Shown, frozen=True, kw_only=True):
    """One worker. ``session`` is a ``shard.Session``, or ``Absent`` before its first report."""

    name: str
    session: str
    account: int | None
    contracts: int
    publishing: int
    standbys: int
    lines: str
    kafka: bool | None
    drained: bool
    message: str


class ShownAccount(_Shown, frozen=True, kw_only=True):
    """One account. ``state``: ``held``, ``free``, ``parked`` or ``waiting`` (its next login has a time)."""

    index: int
    state: str
    holder: str
    failed: int
    message: str


class ShownFeed(_Shown, frozen=True, kw_only=True):
    key: str
    namespace: str
    name: str
    ready: str
    message: str
    conditions: tuple[ShownCondition, ...]
    wanted: int
    assigned: int
    publishing: int
    source: str
    workers: tuple[ShownWorker, ...]
    accounts: tuple[ShownAccount, ...]


class ShownContract(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One contract. ``state``: a ``shard.ContractState``, or ``unassigned``, ``assigned``, ``moving``."""

    conid: int
    symbol: str
    worker: str
    state: str
    partition: int
    epoch: int
    standby: str
    last_ms: int  # the last tick that the worker reported, in ms since 1970; 0: none
    message: str


class ShownSink(_Shown, frozen=True, kw_only=True):
    """One IbSink. ``lag`` is in records, ``latency_ms`` the 99th percentile from IB; None: not known."""

    key: str
    namespace: str
    name: str
    feed: str
    destination: str
    ready: str
    message: str
    lag: int | None
    latency_ms: int | None
    last_write_ms: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedInput:
    """A feed with the resources that belong to it. ``leases``: of its account source in its namespace."""

    feed: Feed | InvalidFeed
    shards: tuple[Shard, ...] = ()
    leases: tuple[AccountLease, ...] = ()


def gather(
    feeds: Iterable[Feed | InvalidFeed],
    shards: Iterable[tuple[str, Shard]],
    leases: Iterable[tuple[str, AccountLease]],
) -> list[FeedInput]:
    """Return each feed with its shards and leases, which come with their namespaces; sorted by namespace and name."""
    shards_of: dict[tuple[str, str], list[Shard]] = {}
    for namespace, shard in shards:
        shards_of.setdefault((namespace, shard.spec.feed), []).append(shard)
    leases_of: dict[tuple[str, str], list[AccountLease]] = {}
    for namespace, lease in leases:
        if lease.index >= 0:
            leases_of.setdefault((namespace, lease.source), []).append(lease)
    found = []
    for feed in sorted(feeds, key=lambda feed: (feed.namespace, feed.name)):
        source = feed.spec.accounts.source if isinstance(feed, Feed) else ""
        own = sorted(shards_of.get((feed.namespace, feed.name), ()), key=lambda shard: shard.worker)
        accounts = sorted(leases_of.get((feed.namespace, source), ()), key=lambda lease: lease.index)
        found.append(FeedInput(feed=feed, shards=tuple(own), leases=tuple(accounts)))
    return found


def key_of(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"


def show_feed(found: FeedInput, now: datetime) -> ShownFeed:
    feed = found.feed
    status = feed.status
    invalid = isinstance(feed, InvalidFeed)
    ready = status.condition(Condition.READY)
    return ShownFeed(
        key=key_of(feed.namespace, feed.name),
        namespace=feed.namespace,
        name=feed.name,
        ready="False" if invalid else ready.status if ready is not None else "Unknown",
        message=feed.message if isinstance(feed, InvalidFeed) else ready.message if ready is not None else "",
        conditions=tuple(
            ShownCondition(type=one.type, status=one.status, reason=one.reason, message=one.message)
            for one in status.conditions
        ),
        wanted=status.contract_count,
        assigned=status.assigned_count,
        publishing=status.publishing_count,
        source="" if isinstance(feed, InvalidFeed) else feed.spec.accounts.source,
        workers=tuple(_worker(shard) for shard in found.shards),
        accounts=tuple(_account(lease, now) for lease in found.leases),
    )


def _worker(shard: Shard) -> ShownWorker:
    status = shard.status
    reports = {report.conid: report for report in status.contracts} if status is not None else {}
    own = [entry for entry in shard.spec.contracts if entry.state is EntryState.ACTIVE]
    account = shard.spec.account
    return ShownWorker(
        name=shard.name,
        session=status.session if status is not None else "Absent",
        account=account.index if account is not None else None,
        contracts=len(own),
        publishing=sum(_state(entry, reports.get(entry.conid)) == ContractState.PUBLISHING for entry in own),
        standbys=sum(entry.hot for entry in shard.spec.contracts),
        lines=status.lines if status is not None else "",
        kafka=status.kafka.reachable if status is not None and status.kafka is not None else None,
        drained=shard.drain == "true",
        message=_worker_message(shard),
    )


def _worker_message(shard: Shard) -> str:
    status = shard.status
    if status is None:
        return "it has not reported yet"
    if status.kafka is not None and status.kafka.message:
        return status.kafka.message
    return status.message


def _account(lease: AccountLease, now: datetime) -> ShownAccount:
    waits = lease.next_login is not None and lease.next_login > now
    if lease.parked:
        state, message = "parked", lease.parked
    elif lease.holder:
        state, message = "held", ""
    elif waits and lease.next_login is not None:
        state, message = "waiting", f"next login at {lease.next_login.astimezone(UTC):%H:%M:%S} UTC"
    else:
        state, message = "free", ""
    return ShownAccount(
        index=lease.index,
        state=state,
        holder=pod_of(lease.holder) if lease.holder else "",
        failed=lease.failed,
        message=message or lease.last_failure,
    )


def _state(entry: Entry, report: Report | None) -> str:
    return report.state if report is not None and report.epoch == entry.epoch else "assigned"


def show_contracts(found: FeedInput) -> list[ShownContract]:
    """Return the feed's contracts by symbol. The shards say what their workers have, the feed's status all else."""
    feed = found.feed
    partitions = feed.spec.kafka.topics.ticklast.partitions if isinstance(feed, Feed) else 1
    shown: dict[int, ShownContract] = {}
    for contract in feed.status.contracts:
        shown[contract.conid] = ShownContract(
            conid=contract.conid,
            symbol=contract.symbol,
            worker=contract.worker or "",
            state="assigned" if contract.worker else "unassigned",
            partition=contract.slot % partitions,
            epoch=contract.epoch,
            standby=contract.standby or "",
            last_ms=0,
            message="",
        )
    for unassigned in feed.status.unassigned:
        if (known := shown.get(unassigned.conid)) is not None:
            message = unassigned.message or unassigned.reason
            shown[unassigned.conid] = msgspec.structs.replace(known, message=message)
    for shard in found.shards:
        _add_shard(shown, shard, partitions)
    return sorted(shown.values(), key=lambda contract: (contract.symbol, contract.conid))


def _add_shard(shown: dict[int, ShownContract], shard: Shard, partitions: int) -> None:
    reports = {report.conid: report for report in shard.status.contracts} if shard.status is not None else {}
    for entry in shard.spec.contracts:
        if entry.hot:
            continue
        known, report = shown.get(entry.conid), reports.get(entry.conid)
        if entry.state is not EntryState.ACTIVE:  # one side of a move; the other may have it as Active already
            if known is not None and known.state in ("assigned", "unassigned"):
                shown[entry.conid] = msgspec.structs.replace(known, state="moving")
            continue
        shown[entry.conid] = ShownContract(
            conid=entry.conid,
            symbol=entry.symbol,
            worker=shard.name,
            state=_state(entry, report),
            partition=entry.slot % partitions,
            epoch=entry.epoch,
            standby=known.standby if known is not None else "",
            last_ms=_ms(report.last_tick_time) if report is not None else 0,
            message=report.message if report is not None else "",
        )


def show_sink(sink: Sink) -> ShownSink:
    ready = sink.status.condition("Ready")
    return ShownSink(
        key=key_of(sink.namespace, sink.name),
        namespace=sink.namespace,
        name=sink.name,
        feed=sink.spec.feed_ref.name if sink.spec is not None else "",
        destination=sink.status.destination or (sink.spec.destination if sink.spec is not None else ""),
        ready="False" if sink.invalid else ready.status if ready is not None else "Unknown",
        message=sink.invalid or (ready.message if ready is not None else ""),
        lag=sink.status.lag,
        latency_ms=sink.status.latency_p99_ms,
        last_write_ms=_ms(sink.status.last_write_time),
        rows=sink.status.rows,
    )


def owners(contracts: Iterable[ShownContract]) -> Mapping[int, str]:
    """Return which worker has each contract; contracts without one are left out."""
    return {contract.conid: contract.worker for contract in contracts if contract.worker}


def _ms(text: str | None) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000) if text else 0
    except ValueError:
        return 0
