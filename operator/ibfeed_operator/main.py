"""What the operator watches, and which feed an event wakes. Nothing is decided here.

kopf watches what is written by people: feeds, and their StatefulSets. Only low-level handlers are used, so it writes
nothing to any object: no annotations, no finalizers. What hundreds of workers write by the second is followed as typed
values (``follow.py``), which take a tenth of the memory and of the time of kopf's dictionaries.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import aiohttp
import kopf

from ibfeed_api import names
from ibfeed_operator import digest, health
from ibfeed_operator.cluster import Cluster
from ibfeed_operator.election import Election, LeadershipLost, identity
from ibfeed_operator.facts import AccountLease, Pod, Shard
from ibfeed_operator.feeds import Feeds
from ibfeed_operator.mirror import Change
from ibfeed_operator.observe import Views
from ibfeed_operator.shared import Settings, Shared, utc_now

REQUEST_TIMEOUT_S: Final = 15.0
WATCH_SERVER_S: Final = 300  # an integer: the API server takes no other
# kopf holds objects as dictionaries, ten times their size: so none long after its last event.
OBJECT_KEPT_S: Final = 0.2

_FEED_LABEL: Final = {names.LABEL_FEED: kopf.PRESENT}

T = TypeVar("T")


class Watcher:
    """kopf's memo: the running feeds, and what each object last said that matters."""

    def __init__(self, feeds: Feeds) -> None:
        self.stop: Final = asyncio.Event()
        self._feeds = feeds
        self._last: dict[str, object] = {}

    def news(self, event: kopf.RawEvent, digest_of: Callable[[digest.Body], object]) -> bool:
        """Whether an event says anything that a cycle could decide upon."""
        body = event["object"]
        uid = body["metadata"]["uid"]
        if event["type"] == "DELETED":
            self._last.pop(uid, None)
            return True
        said = digest_of(body)
        if self._last.get(uid) == said:
            return False
        self._last[uid] = said
        return True

    def touch(self, event: kopf.RawEvent, feed: str) -> None:
        self._feeds.touch(event["object"]["metadata"]["namespace"], feed)


def wake(feeds: Feeds, views: Views) -> None:
    """Have each change of a shard, a pod or a Lease wake whom it concerns."""

    def shard_changed(change: Change[Shard]) -> None:
        if _differ(change, digest.of_shard):
            feeds.touch(change.key[0], change.either.spec.feed)

    def pod_changed(change: Change[Pod]) -> None:
        feeds.touch(change.key[0], change.either.feed)

    def lease_changed(change: Change[AccountLease]) -> None:
        if _differ(change, digest.of_lease):
            feeds.touch_namespace(change.key[0])

    views.shards.listen(shard_changed)
    views.pods.listen(pod_changed)
    views.leases.listen(lease_changed)


def _differ(change: Change[T], digest_of: Callable[[T], object]) -> bool:
    if change.before is None or change.after is None:
        return True
    return digest_of(change.before) != digest_of(change.after)


class NoDiffs(kopf.DiffBaseStorage):
    """Spares kopf a deep copy of each object in each event: it is for handlers of changes, and there are none."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None


def settings_from_environment(environment: Mapping[str, str]) -> Settings:
    """Raises KeyError with the variable's name if one is missing."""
    return Settings(
        worker_image=environment["IBFEED_WORKER_IMAGE"],
        operator_namespace=environment.get("POD_NAMESPACE", "ibfeed-system"),
        namespace=environment.get("IBFEED_NAMESPACE", ""),
    )


def registry() -> kopf.OperatorRegistry:
    """All handlers."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.networking.request_timeout = REQUEST_TIMEOUT_S
        settings.watching.server_timeout = WATCH_SERVER_S
        settings.watching.client_timeout = WATCH_SERVER_S + 10
        settings.watching.connect_timeout = REQUEST_TIMEOUT_S
        settings.queueing.idle_timeout = OBJECT_KEPT_S
        settings.persistence.diffbase_storage = NoDiffs()
        settings.watching.label_selectors["statefulsets"] = names.LABEL_FEED

    @kopf.on.startup(registry=handlers)
    async def hear_signals(memo: Any, **_: Any) -> None:
        # Instead of kopf, which first ends its watching, for seconds: whoever is to act next need not wait for that.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, memo.stop.set)

    @kopf.on.login(registry=handlers)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_via_client(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.FEED_PLURAL, registry=handlers)
    async def feed_changed(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
        if memo.news(event, digest.of_feed):
            memo.touch(event, event["object"]["metadata"]["name"])

    @kopf.on.event("apps", "v1", "statefulsets", labels=_FEED_LABEL, registry=handlers)
    async def workload_changed(event: kopf.RawEvent, memo: Any, labels: Any, **_: Any) -> None:
        if memo.news(event, digest.of_workload):
            memo.touch(event, labels[names.LABEL_FEED])

    return handlers


async def operate(
    settings: Settings, *, me: str, port: int = health.PORT, clock: Callable[[], datetime] = utc_now
) -> None:
    """Watch, and act while leading, until a signal comes or kopf gives up (then another process is started).

    Raises LeadershipLost when another operator may act from now on.
    """
    gc.freeze()  # what was imported stays, and need not be searched again and again: a fifth of a large feed's cycle
    async with (
        await Cluster.connect() as own,
        aiohttp.ClientSession() as http,
    ):
        election = Election(own, settings.operator_namespace, me)
        async with await Cluster.connect(election.acts) as cluster:
            views = Views(cluster, settings.namespace)
            feeds = Feeds(Shared(cluster=cluster, views=views, http=http, settings=settings, clock=clock))
            wake(feeds, views)
            watcher = Watcher(feeds)
            server = await health.serve(feeds, election, port=port)
            acting = (asyncio.create_task(election.run()), asyncio.create_task(_act(election, feeds)))
            watching = (
                asyncio.create_task(_watch(settings, watcher)),
                asyncio.create_task(views.run()),
                asyncio.create_task(watcher.stop.wait()),
            )
            try:
                await asyncio.wait((*acting, *watching), return_when=asyncio.FIRST_COMPLETED)
            finally:
                results = await _ended(*acting)
                await election.release()
                results += await _ended(*watching)
                await server.cleanup()
            for result in results:
                if isinstance(result, Exception):
                    raise result


async def _ended(*tasks: asyncio.Task[Any]) -> list[Any]:
    for task in tasks:
        task.cancel()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def _act(election: Election, feeds: Feeds) -> None:
    await election.won.wait()
    await feeds.run()


async def _watch(settings: Settings, watcher: Watcher) -> None:
    await kopf.operator(
        registry=registry(),
        standalone=True,
        clusterwide=not settings.namespace,
        namespaces=[settings.namespace] if settings.namespace else [],
        memo=watcher,
    )


def main(*, port: int = health.PORT, clock: Callable[[], datetime] = utc_now) -> None:
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger().setLevel(logging.INFO)
    # One line per event would be hundreds a second; what a cycle does is logged where it is done.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    try:
        asyncio.run(operate(settings_from_environment(os.environ), me=identity(os.environ), port=port, clock=clock))
    except LeadershipLost as lost:
        logging.getLogger(__name__).error("this operator no longer leads, and ends: %s", lost)
        sys.exit(1)
