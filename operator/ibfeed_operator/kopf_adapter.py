"""Watches feeds and their StatefulSets with kopf.

Only low-level handlers of kopf are used, so it writes nothing to any object: no annotations, no finalizers. The
informers follow the objects that hundreds of workers write every second. Their typed values take a tenth of the memory
and of the time of kopf's dictionaries.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable, Iterator
from typing import Any, Final

import kopf

from ibfeed_api.kinds import FEED_PLURAL, GROUP, VERSION
from ibfeed_api.labels import LABEL_FEED
from ibfeed_operator.controller import predicates
from ibfeed_operator.controller.dependencies import Settings
from ibfeed_operator.controller.manager import Manager

REQUEST_TIMEOUT_S: Final = 15.0
WATCH_SERVER_S: Final = 300  # an integer, since the API server accepts nothing else
# kopf holds objects as dictionaries of ten times their size, so it keeps none for long after its last event.
OBJECT_KEPT_S: Final = 0.2
_FEED_LABEL: Final = {LABEL_FEED: kopf.PRESENT}


class Watcher:
    """kopf's memo: the manager of the feeds, and the relevant part of each object as it was last seen.

    ``feed_changed`` is called with namespace and name of each feed whose spec has changed or that is gone.
    """

    def __init__(self, manager: Manager, feed_changed: Callable[[str, str], None] = lambda *_: None) -> None:
        self.stop: Final = asyncio.Event()
        self.feed_changed: Final = feed_changed
        self._manager = manager
        self._last: dict[str, object] = {}

    def news(self, event: kopf.RawEvent, digest_of: Callable[[predicates.Body], object]) -> bool:
        """Whether an event changes anything that a cycle decides upon."""
        body = event["object"]
        uid = body["metadata"]["uid"]
        if event["type"] == "DELETED":
            self._last.pop(uid, None)
            return True
        digest = digest_of(body)
        if self._last.get(uid) == digest:
            return False
        self._last[uid] = digest
        return True

    def touch(self, event: kopf.RawEvent, feed: str) -> None:
        self._manager.touch(event["object"]["metadata"]["namespace"], feed)


class Patience:
    """Pauses between tries without an end: kopf would give up after a minute, and the operator would end with it.

    A member of failsafes must answer while the API server is away (``failsafe.py``).
    """

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1.0, 2.0), itertools.repeat(5.0))


class NoDiffs(kopf.DiffBaseStorage):
    """A storage of nothing. It spares kopf a deep copy of each object per event, for change handlers that we lack."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None


def registry() -> kopf.OperatorRegistry:
    """Return a registry with all handlers."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        settings.networking.request_timeout = REQUEST_TIMEOUT_S
        settings.networking.error_backoffs = Patience()
        settings.watching.server_timeout = WATCH_SERVER_S
        settings.watching.client_timeout = WATCH_SERVER_S + 10
        settings.watching.connect_timeout = REQUEST_TIMEOUT_S
        settings.queueing.idle_timeout = OBJECT_KEPT_S
        settings.persistence.diffbase_storage = NoDiffs()
        settings.watching.label_selectors["statefulsets"] = LABEL_FEED

    @kopf.on.startup(registry=handlers)
    async def hear_signals(memo: Any, **_: Any) -> None:
        # Instead of kopf, which needs seconds to end its watches first. The next leader need not wait for that.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, memo.stop.set)

    @kopf.on.login(registry=handlers)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_via_client(**kwargs)

    @kopf.on.event(GROUP, VERSION, FEED_PLURAL, registry=handlers)
    async def feed_changed(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
        if memo.news(event, predicates.of_feed):
            meta = event["object"]["metadata"]
            memo.touch(event, meta["name"])
            memo.feed_changed(meta["namespace"], meta["name"])

    @kopf.on.event("apps", "v1", "statefulsets", labels=_FEED_LABEL, registry=handlers)
    async def workload_changed(event: kopf.RawEvent, memo: Any, labels: Any, **_: Any) -> None:
        if memo.news(event, predicates.of_workload):
            memo.touch(event, labels[LABEL_FEED])

    return handlers


async def watch(settings: Settings, watcher: Watcher) -> None:
    await kopf.operator(
        registry=registry(),
        standalone=True,
        clusterwide=not settings.namespace,
        namespaces=[settings.namespace] if settings.namespace else [],
        memo=watcher,
    )
