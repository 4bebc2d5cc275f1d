"""All that the pages show, kept up to date: resources by informers, quotes and gaps from Kafka while somebody looks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ibfeed_api.kinds import API_VERSION, FEED_PLURAL, SHARD_PLURAL, SINK_PLURAL
from ibfeed_api.labels import LABEL_SOURCE
from ibfeed_api.log import Log
from ibfeed_operator.console import metrics
from ibfeed_operator.console.history import History
from ibfeed_operator.console.kafka_reader import KafkaReader
from ibfeed_operator.console.quotes import QuoteBoard
from ibfeed_operator.console.sources import TickSource, servers_of, sources_of
from ibfeed_operator.console.ticks import Summary
from ibfeed_operator.console.view import (
    ShownContract,
    ShownFeed,
    ShownSink,
    gather,
    key_of,
    owners,
    show_contracts,
    show_feed,
    show_sink,
)
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.informer import Informer
from ibfeed_operator.kube.store import Change
from ibfeed_operator.model.decode import InvalidFeed, read_feed, read_lease, read_shard
from ibfeed_operator.model.types import AccountLease, Feed, Shard
from ibfeed_operator.sinks.model import read_sink

_log: Final = Log(__name__)

LOOK_S: Final = 0.4  # between two updates of the pages; with Kafka's waits a tick is 0.7 s old at most
_FRESH_S: Final = 60.0  # nobody relies on these stores for a decision
_REST_S: Final = 30.0  # Kafka is read on for so long after the last page has gone


class Informed:
    """The informers of everything that the page shows, in ``namespace`` or (empty) everywhere."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        where = namespace or None
        leases = collection("coordination.k8s.io/v1", "leases", where)
        feeds = collection(API_VERSION, FEED_PLURAL, where)
        self.feeds: Final[Informer[Feed | InvalidFeed]] = Informer(kube, feeds, read_feed, fresh_s=_FRESH_S)
        self.shards: Final = Informer(kube, collection(API_VERSION, SHARD_PLURAL, where), read_shard, fresh_s=_FRESH_S)
        self.sinks: Final = Informer(kube, collection(API_VERSION, SINK_PLURAL, where), read_sink, fresh_s=_FRESH_S)
        self.leases: Final = Informer(kube, leases, read_lease, labels=LABEL_SOURCE, fresh_s=_FRESH_S)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as group:
            for informer in (self.feeds, self.shards, self.sinks, self.leases):
                group.create_task(informer.run())


class Desk:
    """The state that is shown now, for all pages together.

    Args:
        informed: the informers, which somebody else runs.
        secret: folder with the console's own Secret for Kafka; it may be absent.
    """

    def __init__(self, informed: Informed, secret: Path) -> None:
        self._informed, self._secret = informed, secret
        self._readers: Final[dict[str, KafkaReader]] = {}
        self._viewers = 0
        self._left_at = 0.0
        self._stale = True
        self.revision = 0  # of feeds, contracts and sinks
        self._topics: dict[str, tuple[str, str]] = {}  # of each feed: Kafka's servers, topic of ticks
        self._feeds_of: dict[tuple[str, str, str], str] = {}  # servers, topic of events, feed's name: its key
        self.board: Final = QuoteBoard()
        self.history: Final = History()
        self.feeds: list[ShownFeed] = []
        self.contracts: dict[str, list[ShownContract]] = {}
        self.sinks: list[ShownSink] = []
        self.troubles: dict[str, str] = {}  # of each Kafka: why its ticks do not come; empty: they do
        self.looked: Final = asyncio.Condition()
        informed.feeds.listen(self._changed)
        informed.sinks.listen(self._changed)
        informed.leases.listen(self._lease_changed)
        informed.shards.listen(self._shard_changed)

    @property
    def namespaces(self) -> frozenset[str]:
        return frozenset({feed.namespace for feed in self.feeds} | {sink.namespace for sink in self.sinks})

    def kafka_of(self, feed: str) -> tuple[str, str]:
        """Return Kafka's servers and the topic of ticks of a feed, by its key."""
        return self._topics.get(feed, ("", ""))

    @contextlib.contextmanager
    def viewer(self) -> Iterator[None]:
        """Wrap the time in which a page is open."""
        self._viewers += 1
        metrics.VIEWERS.set(self._viewers)
        self._stale = True  # so that Kafka's readers start
        try:
            yield
        finally:
            self._viewers -= 1
            self._left_at = time.monotonic()
            metrics.VIEWERS.set(self._viewers)

    @property
    def viewers(self) -> int:
        return self._viewers

    async def run(self) -> None:
        """Look again and again, for ever."""
        try:
            while True:
                began = time.monotonic()
                self._look()
                async with self.looked:
                    self.looked.notify_all()
                await asyncio.sleep(max(0.05, LOOK_S - (time.monotonic() - began)))
        finally:
            for reader in self._readers.values():
                reader.stop()

    def _look(self) -> None:
        if self._stale:
            self._stale = False
            self._show()
            self.revision += 1
        reads = self._viewers > 0 or (self._readers and time.monotonic() - self._left_at < _REST_S)
        if not reads and self._readers:
            self._read({})
            self.board.clear()
        if self._viewers:
            now = _now_ms()
            self.board.look(now)
            if self.board.newest_ms:
                metrics.BEHIND.set(max(0, now - self.board.newest_ms) / 1000)

    def _show(self) -> None:
        feeds: list[Feed | InvalidFeed] = [feed for _, feed in self._informed.feeds.values()]
        shards = ((key[0], shard) for key, shard in self._informed.shards.values())
        leases = ((key[0], lease) for key, lease in self._informed.leases.values())
        found = gather(feeds, shards, leases)
        now = datetime.now(UTC)
        before, self.contracts = self.contracts, {}
        self.feeds = [show_feed(one, now) for one in found]
        for one in found:
            key = key_of(one.feed.namespace, one.feed.name)
            shown = self.contracts[key] = show_contracts(one)
            if key in before:
                symbols = {contract.conid: contract.symbol for contract in (*before[key], *shown)}
                self.history.moves(_now_ms(), key, owners(before[key]), owners(shown), symbols)
        self.sinks = sorted((show_sink(sink) for _, sink in self._informed.sinks.values()), key=lambda sink: sink.key)
        self._find_topics([feed for feed in feeds if isinstance(feed, Feed)])

    def _find_topics(self, feeds: list[Feed]) -> None:
        self._topics, self._feeds_of = {}, {}
        for feed in feeds:
            kafka, key = feed.spec.kafka, key_of(feed.namespace, feed.name)
            servers = servers_of(feed)
            self._topics[key] = (servers, kafka.topics.ticklast.name)
            self._feeds_of[servers, kafka.topics.feed_events.name, feed.name] = key
        if self._viewers:
            self._read(sources_of(feeds, _keys(self._secret)))

    def _read(self, sources: dict[str, TickSource]) -> None:
        for servers, reader in list(self._readers.items()):
            if sources.get(servers) != reader.source:
                reader.stop()
                del self._readers[servers]
                self.troubles.pop(servers, None)
        for servers, source in sources.items():
            if servers not in self._readers:
                reader = self._readers[servers] = KafkaReader(source, self._merge, self._tell)
                reader.start()

    def _merge(self, servers: str, summary: Summary) -> None:
        self.board.merge(servers, summary)
        metrics.RECORDS.inc(sum(count for _, count in summary.latest.values()))
        metrics.UNREADABLE.inc(summary.unreadable)
        for topic, event in summary.events:
            feed = self._feeds_of.get((servers, topic, event.feed))
            if feed is not None:
                self.history.event(feed, event)

    def _tell(self, servers: str, trouble: str) -> None:
        if self.troubles.get(servers) != trouble:
            self.troubles[servers] = trouble
            if trouble:
                _log.info("Kafka is not read", servers=servers, why=trouble)

    def _changed(self, _: object) -> None:
        self._stale = True

    def _lease_changed(self, change: Change[AccountLease]) -> None:
        # Each holder renews every three seconds, which changes nothing that is shown.
        before, after = (one and replace(one, resource_version="") for one in (change.before, change.after))
        if before != after:
            self._stale = True

    def _shard_changed(self, change: Change[Shard]) -> None:
        self._stale = True
        before, after = (one.status.session if one and one.status else None for one in (change.before, change.after))
        if change.after is not None and change.after.status is None:
            return
        shard = change.either
        self.history.session(_now_ms(), key_of(change.key[0], shard.spec.feed), shard.name, before, after)


def _keys(folder: Path) -> dict[str, bytes]:
    """Return the keys of a mounted Secret, which changes while we run; empty: there is none."""
    try:
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    except OSError:
        return {}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
