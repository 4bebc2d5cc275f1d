"""``ibfeed why SYMBOL``: where a contract is, and why it is not where it should be. No I/O."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from ibfeed.cluster.accounts import Accounts
from ibfeed.cluster.labels import PIN
from ibfeed.cluster.objects import Feed, FeedContract, FeedNews, Report, Shard, UnassignedContract, WorkerSummary
from ibfeed.cluster.overview import places_of, state_of
from ibfeed.cluster.times import moment, since_of, span, utc
from ibfeed.cluster.wishes import pins_of
from ibfeed.errors import MissingObjectError

_NEWS: Final = 5  # events that are shown
_CLOSE: Final = 3  # symbols that are offered for one that is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A worker that has an entry of the contract while it is on the move, or the only one.

    Args:
        order: of the operator: Active, Retiring or Standby.
        report: of the worker, on that order; empty: none yet.
    """

    worker: str
    order: str
    report: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where a contract is, and why.

    Args:
        state: publishing, or what else the worker says of it, or unassigned.
        worker, account: None: none has it.
        partition: of ``topic``.
        since: when the worker got it.
        last_tick: as its worker reported within the last ten seconds.
        standby: the worker that would go on with it at once; empty: none.
        pinned: the worker that a person has pinned it to; empty: none.
        sentences: all of it for a person; ``advice``: what to do, commands among it.
        events: the latest of its feed and worker, newest first.
    """

    feed: str
    namespace: str
    symbol: str
    conid: int
    state: str
    reason: str
    worker: str | None
    account: int | None
    topic: str
    partition: int
    epoch: int
    since: dt.datetime | None
    last_tick: dt.datetime | None
    standby: str
    pinned: str
    places: tuple[Place, ...]
    sentences: tuple[str, ...]
    advice: tuple[str, ...]
    events: tuple[str, ...]

    @property
    def publishing(self) -> bool:
        return self.state == "publishing"


def find(symbol: str, feeds: Iterable[Feed]) -> list[tuple[Feed, FeedContract]]:
    """Return the contracts with a symbol, such as ``CLZ6``, or with a conid, one of a feed at most.

    Raises:
        MissingObjectError: no feed has it. The text names what is like it, and why it may be missing.
    """
    feeds = list(feeds)
    wanted = symbol.upper()
    found = [
        (feed, one)
        for feed in feeds
        for one in feed.status.contracts
        if one.symbol.upper() == wanted or str(one.conid) == symbol
    ]
    if not found:
        raise MissingObjectError(_unknown(wanted, feeds))
    return found


def _unknown(symbol: str, feeds: Sequence[Feed]) -> str:
    if not feeds:
        return "there is no IbFeed in this namespace: choose another with -n, or apply one"
    names = ", ".join(feed.name for feed in feeds)
    text = f"no contract of {names} is {symbol}"
    roots = [(feed, root) for feed in feeds for root in feed.spec.roots if symbol.startswith(root.symbol)]
    for feed, root in sorted(roots, key=lambda item: -len(item[1].symbol))[:1]:
        universe = feed.condition("UniverseResolved")
        mine = [one for one in feed.status.contracts if one.root == root.symbol]
        if universe.status != "True" or not mine:
            return f"{text}; the contracts of {feed.name} are not all known: {universe.message}"
        months = feed.spec.front_months if root.front_months is None else root.front_months
        return (
            f"{text}; {feed.name} streams the nearest {months} months of {root.symbol}:"
            f" {', '.join(one.symbol for one in mine)}. Raise frontMonths to have more"
        )
    known = [one.symbol for feed in feeds for one in feed.status.contracts]
    like = difflib.get_close_matches(symbol, known, _CLOSE)
    if like:
        return f"{text}; is it {' or '.join(like)}?"
    return f"{text}; add its root to spec.roots of the feed, or see `ibfeed status FEED` for those that it has"


def explain(
    feed: Feed,
    contract: FeedContract,
    shards: Iterable[Shard],
    accounts: Accounts | None,
    news: Iterable[FeedNews],
    now: dt.datetime,
) -> Explanation:
    """Explain one contract of a feed. ``accounts`` is None if the user may not read Leases."""
    shards = [shard for shard in shards if shard.spec.feed == feed.name]
    places = places_of(contract.conid, shards)
    shard, entry = places[0] if places else (None, None)
    report = shard.report(entry) if shard is not None and entry is not None else None
    missing = next((one for one in feed.status.unassigned if one.conid == contract.conid), None)
    state = state_of(_with_worker(contract, shard), report)
    topic = feed.spec.kafka.topics.ticklast
    number = pins_of(feed.metadata.annotations.get(PIN, "")).get(contract.symbol, "")
    epoch = entry.epoch if entry is not None else contract.epoch
    account = shard.spec.account.index if shard is not None and shard.spec.account is not None else None
    case = _Case(feed, contract, shard, report, missing, state, accounts)
    facts = Explanation(
        feed=feed.name,
        namespace=feed.metadata.namespace,
        symbol=contract.symbol,
        conid=contract.conid,
        state=state,
        reason=case.reason,
        worker=shard.name if shard is not None else None,
        account=account,
        topic=topic.name,
        partition=contract.slot % topic.partitions,
        epoch=epoch,
        since=since_of(epoch) if shard is not None else None,
        last_tick=moment(report.last_tick_time) if report is not None else None,
        standby=contract.standby or "",
        pinned=f"{feed.name}-{number}" if number else "",
        places=tuple(
            Place(worker=one.name, order=item.state, report=_said(one.report(item)), epoch=item.epoch)
            for one, item in places
        ),
        sentences=(),
        advice=tuple(case.advice()),
        events=tuple(_events(news, shard.name if shard is not None else "")),
    )
    return replace(facts, sentences=tuple(_sentences(facts, case, now)))


def _with_worker(contract: FeedContract, shard: Shard | None) -> FeedContract:
    """Return a contract with the worker that IbShards tell, which are written before the feed's status."""
    return msgspec.structs.replace(contract, worker=shard.name if shard is not None else None)


def _said(report: Report | None) -> str:
    return report.state if report is not None else ""


@dataclass(frozen=True, slots=True)
class _Case:
    """All that is known of one contract."""

    feed: Feed
    contract: FeedContract
    shard: Shard | None
    report: Report | None
    missing: UnassignedContract | None
    state: str
    accounts: Accounts | None

    @property
    def reason(self) -> str:
        """A word for scripts; empty if the contract is published."""
        if self.state == "publishing":
            return ""
        if self.feed.spec.suspend:
            return "Suspended"
        if self.shard is None:
            return self.missing.reason if self.missing is not None else "Unassigned"
        worker = self.worker
        return worker.reason if worker is not None and worker.reason else "NotPublishing"

    @property
    def worker(self) -> WorkerSummary | None:
        """The feed's summary of the worker that has the contract."""
        name = self.shard.name if self.shard is not None else ""
        return next((one for one in self.feed.status.shards if one.worker == name), None)

    def cause(self) -> str:
        """Why it is not published: what operator and worker say."""
        if self.feed.spec.suspend:
            return f"{self.feed.name} is suspended: spec.suspend is true"
        if self.shard is None:
            if self.missing is not None and self.missing.message:
                return self.missing.message
            return self.feed.condition("Ready").message
        if self.report is not None and self.report.message:
            return self.report.message
        kafka = self.shard.status.kafka
        if kafka is not None and kafka.reachable is False:
            return f"{self.shard.name} cannot publish: {kafka.message}"
        worker = self.worker
        if worker is not None and worker.message:
            return f"{self.shard.name}: {worker.message}"
        session = worker.session if worker is not None else self.shard.status.session
        if session != "Streaming":
            return f"the session of {self.shard.name} is {session or 'not known yet'}"
        return f"{self.shard.name} has not reported yet that it publishes it"

    def advice(self) -> Iterable[str]:
        """Return commands, and sentences on what to do."""
        name, worker = self.feed.name, self.shard.name if self.shard is not None else ""
        if self.state == "publishing":
            return
        if self.feed.spec.suspend:
            yield self._command("resume", name)
        elif self.state == "silent":
            yield f"the worker asks IB again by itself; if the market is not quiet: {self._command('logs', worker)}"
        elif self.state == "refused":
            yield "check the account's market data subscriptions at IB, and that no other platform uses its lines"
            yield self._command("account list")
        elif worker:
            kafka = self.shard.status.kafka if self.shard is not None else None
            if kafka is not None and kafka.reachable is False:
                yield f"kubectl -n {self.feed.metadata.namespace} describe ibf {name}"
            if self._account_is_bad():
                yield self._command("account list")
            yield self._command("logs", worker)
        else:
            yield from self._advice_unassigned()

    def _command(self, *words: str) -> str:
        return f"ibfeed {' '.join(words)} -n {self.feed.metadata.namespace}"

    def _account_is_bad(self) -> bool:
        account = self.shard.spec.account if self.shard is not None else None
        found = self.accounts.find(account.index) if self.accounts is not None and account is not None else None
        return found is not None and found.bad

    def _advice_unassigned(self) -> Iterable[str]:
        name, more = self.feed.name, self.feed.spec.workers + 1
        scale = f"kubectl -n {self.feed.metadata.namespace} scale ibf/{name} --replicas={more}"
        drained = [worker.worker for worker in self.feed.status.shards if worker.reason in ("Drained", "Draining")]
        texts = {
            "Capacity": (f"{scale} (with an account for it), or fewer frontMonths",),
            "TooFewAccounts": (self._command("account list"),),
            "WorkerMissing": (self._command("status", name),),
            "Drained": (*(self._command("undrain", worker) for worker in drained), scale),
            "KafkaNotProven": (f"kubectl -n {self.feed.metadata.namespace} describe ibf {name}",),
            "NoWorkers": (self._command("status", name), self._command("account list")),
            "Moving": ("wait: its last worker lets go within seconds, or is lost after ten",),
        }
        yield from texts.get(self.reason, (self._command("status", name),))


def _sentences(facts: Explanation, case: _Case, now: dt.datetime) -> Iterable[str]:
    title = f"{facts.symbol} (conid {facts.conid})"
    since = f" since {utc(facts.since)} ({span(now - facts.since)})" if facts.since is not None else ""
    account = "no account" if facts.account is None else f"account {facts.account}"
    where = f"partition {facts.partition} of {facts.topic}"
    if facts.publishing:
        yield f"{title} is published by {facts.worker} with {account}, to {where}, under epoch {facts.epoch}{since}."
    elif facts.worker is None:
        yield f"{title} has no worker ({facts.reason}): {_ended(case.cause())}"
        yield f"It belongs to {where}."
    else:
        yield f"{title} is with {facts.worker}, which does not publish it ({facts.reason}): {_ended(case.cause())}"
        yield f"That worker has {account}; the contract belongs to {where}, epoch {facts.epoch}{since}."
    if facts.last_tick is not None:
        yield f"Its last tick came {span(now - facts.last_tick)} ago."
    elif facts.worker is not None:
        yield "No tick of it is known yet."
    if len(facts.places) > 1:
        moves = ", ".join(f"{one.order} at {one.worker} ({one.report or 'no report yet'})" for one in facts.places)
        yield f"It is on the move: {moves}."
    if facts.standby:
        yield f"{facts.standby} holds it ready, and would go on with it at once."
    elif case.feed.spec.standby == "None":
        yield "No worker holds it ready, since spec.standby is None: another would subscribe it within seconds."
    else:
        yield f"No worker holds it ready: {_ended(case.feed.condition('StandbysReady').message)}"
    if facts.pinned and facts.pinned != facts.worker:
        yield f"It is pinned to {facts.pinned}: {_ended(case.feed.condition('PlacementHonored').message)}"
    elif facts.pinned:
        yield f"It is pinned to {facts.pinned}."


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _events(news: Iterable[FeedNews], worker: str) -> Iterable[str]:
    """The latest events of the feed, and of its other workers only the warnings."""
    shown = [one for one in news if one.type == "Warning" or (worker and worker in one.message)]
    shown.sort(key=lambda one: one.last_timestamp or "", reverse=True)
    for one in shown[:_NEWS]:
        at = moment(one.last_timestamp)
        yield f"{utc(at) if at is not None else '?'}  {one.reason}: {one.message}"
