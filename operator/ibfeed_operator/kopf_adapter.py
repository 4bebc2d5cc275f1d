"""The watch of what people write: feeds and their StatefulSets.

Only low-level handlers of kopf are used, so it writes nothing to any object: no annotations, no finalizers. What
hundreds of workers write by the second is followed as typed values by the informers, which take a tenth of the memory
and of the time of the dictionaries of kopf.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any, Final

import kopf

from ibfeed_api.kinds import FEED_PLURAL, GROUP, VERSION
from ibfeed_api.labels import LABEL_FEED
from ibfeed_operator.controller import predicates
from ibfeed_operator.controller.dependencies import Settings
from ibfeed_operator.controller.manager import Manager

REQUEST_TIMEOUT_S: Final = 15.0
WATCH_SERVER_S: Final = 300  # an integer: the API server takes no other
# kopf holds objects as dictionaries, ten times their size: so none long after its last event.
OBJECT_KEPT_S: Final = 0.2
_FEED_LABEL: Final = {LABEL_FEED: kopf.PRESENT}


class Watcher:
    """kopf's memo: the running feeds, and what each object last said that matters."""

    def __init__(self, manager: Manager) -> None:
        self.stop: Final = asyncio.Event()
        self._manager = manager
        self._last: dict[str, object] = {}

    def news(self, event: kopf.RawEvent, digest_of: Callable[[predicates.Body], object]) -> bool:
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
        self._manager.touch(event["object"]["metadata"]["namespace"], feed)


class NoDiffs(kopf.DiffBaseStorage):
    """Spares kopf a deep copy of each object in each event: it is for handlers of changes, and there are none."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None


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
        settings.watching.label_selectors["statefulsets"] = LABEL_FEED

    @kopf.on.startup(registry=handlers)
    async def hear_signals(memo: Any, **_: Any) -> None:
        # Instead of kopf, which first ends its watching, for seconds: whoever is to act next need not wait for that.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, memo.stop.set)

    @kopf.on.login(registry=handlers)
    def log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_via_client(**kwargs)

    @kopf.on.event(GROUP, VERSION, FEED_PLURAL, registry=handlers)
    async def feed_changed(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
        if memo.news(event, predicates.of_feed):
            memo.touch(event, event["object"]["metadata"]["name"])

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
