"""kopf's part of the operator: it watches, and wakes the feed that an event is about. Nothing is decided here.

Only low-level handlers are used, so kopf writes nothing to any object: no annotations, no finalizers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import httpx
import kopf

from ibfeed_api import names
from ibfeed_operator import digest, health
from ibfeed_operator.cluster import Cluster
from ibfeed_operator.feeds import Feeds
from ibfeed_operator.shared import Settings, Shared, utc_now

REQUEST_TIMEOUT_S: Final = 15.0
WATCH_SERVER_S: Final = 300  # an integer: the API server takes no other

_FEED_LABEL: Final = {names.LABEL_FEED: kopf.PRESENT}
_SOURCE_LABEL: Final = {names.LABEL_SOURCE: kopf.PRESENT}


class Watcher:
    """kopf's memo: the running feeds, and what each object last said that matters."""

    def __init__(self, feeds: Feeds) -> None:
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

    def touch_namespace(self, event: kopf.RawEvent) -> None:
        self._feeds.touch_namespace(event["object"]["metadata"]["namespace"])


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
        settings.watching.label_selectors["pods"] = names.LABEL_FEED
        settings.watching.label_selectors["leases"] = names.LABEL_SOURCE
        settings.watching.label_selectors["statefulsets"] = names.LABEL_FEED

    @kopf.on.login(registry=handlers)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_via_client(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.FEED_PLURAL, registry=handlers)
    async def feed_changed(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
        if memo.news(event, digest.of_feed):
            memo.touch(event, event["object"]["metadata"]["name"])

    @kopf.on.event(names.GROUP, names.VERSION, names.SHARD_PLURAL, registry=handlers)
    async def shard_changed(event: kopf.RawEvent, memo: Any, spec: Any, **_: Any) -> None:
        if memo.news(event, digest.of_shard):
            memo.touch(event, spec["feed"])

    @kopf.on.event("", "v1", "pods", labels=_FEED_LABEL, registry=handlers)
    async def pod_changed(event: kopf.RawEvent, memo: Any, labels: Any, **_: Any) -> None:
        if memo.news(event, digest.of_pod):
            memo.touch(event, labels[names.LABEL_FEED])

    @kopf.on.event("apps", "v1", "statefulsets", labels=_FEED_LABEL, registry=handlers)
    async def workload_changed(event: kopf.RawEvent, memo: Any, labels: Any, **_: Any) -> None:
        if memo.news(event, digest.of_workload):
            memo.touch(event, labels[names.LABEL_FEED])

    @kopf.on.event("coordination.k8s.io", "v1", "leases", labels=_SOURCE_LABEL, registry=handlers)
    async def lease_changed(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
        if memo.news(event, digest.of_lease):
            memo.touch_namespace(event)

    return handlers


async def operate(settings: Settings, *, port: int = health.PORT, clock: Callable[[], datetime] = utc_now) -> None:
    """Run until a signal comes or kopf gives up (then the process ends, and is started again)."""
    async with await Cluster.connect() as cluster, httpx.AsyncClient(trust_env=False) as http:
        feeds = Feeds(Shared(cluster=cluster, http=http, settings=settings, clock=clock))
        server = await health.serve(feeds, port=port)
        running = asyncio.create_task(feeds.run())
        try:
            await kopf.operator(
                registry=registry(),
                standalone=True,
                clusterwide=not settings.namespace,
                namespaces=[settings.namespace] if settings.namespace else [],
                memo=Watcher(feeds),
            )
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await server.cleanup()


def main() -> None:
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger().setLevel(logging.INFO)
    # One line per event would be hundreds a second; what a cycle does is logged where it is done.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    asyncio.run(operate(settings_from_environment(os.environ)))
