"""Kubernetes events for people (``kubectl describe ibf``, ``ibk``). They complement the status and never replace it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol

from ibfeed_api.events import EventReason
from ibfeed_api.kinds import API_VERSION, FEED_KIND, OPERATOR_FIELD_MANAGER
from ibfeed_api.log import Log
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import KubeError, NotFoundError
from ibfeed_operator.kube.event_series import EventSeries, Series

_log: Final = Log(__name__)

_MAX_MESSAGE: Final = 1000  # the API's limit is 1024


class Involved(Protocol):
    """The object that an event is about, which is a feed or a sink."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...


class EventRecorder:
    """The poster of the events of one feed or other object. Repeats are counted on one event, and not many are posted.

    Args:
        kube: where they are posted.
        kind: of the object.
        clock: seconds, monotonic.
    """

    def __init__(self, kube: KubeClient, kind: str = FEED_KIND, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._kind = kind
        self._clock = clock
        self._series = EventSeries()

    async def post(
        self, about: Involved, kind: Literal["Normal", "Warning"], reason: EventReason, subject: str, message: str
    ) -> None:
        """Post an event about ``subject``, such as a worker's name. A failure to post is only logged."""
        key = (kind, str(reason), subject)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = f"{about.name}.{uuid.uuid4().hex[:16]}"
        series = self._series.next_write(key, self._clock(), name=name, stamp=stamp)
        if series is None:
            return
        where = {"namespace": about.namespace, self._kind.removeprefix("Ib").lower(): about.name}
        _log.info("an event for people", reason=str(reason), message=message, count=series.count, **where)
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": series.name, "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": self._kind,
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
            },
            "type": kind,
            "reason": str(reason),
            "message": message[:_MAX_MESSAGE],
            "source": {"component": OPERATOR_FIELD_MANAGER},
            "firstTimestamp": series.first,
            "lastTimestamp": stamp,
            "count": series.count,
        }
        try:
            await self._write(event, series)
        except KubeError as error:
            self._series.forget(key)
            _log.warning("an event was not posted", reason=str(reason), error=str(error), **where)

    async def _write(self, event: dict[str, Any], series: Series) -> None:
        """Write a new event, or the repeat of one. Raises KubeError."""
        if series.count > 1:
            path = f"{collection('v1', 'events', event['metadata']['namespace'])}/{series.name}"
            try:
                await self._kube.patch(path, {part: event[part] for part in ("count", "lastTimestamp", "message")})
            except NotFoundError:  # the API server keeps events for an hour
                _log.debug("an event is gone, and is made again", event_name=series.name)
            else:
                return
        await self._kube.create(event)
