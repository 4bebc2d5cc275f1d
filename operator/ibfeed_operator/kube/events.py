"""Kubernetes events for people (``kubectl describe ibf``, ``ibk``). They complement the status and never replace it."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from ibfeed_api.kinds import API_VERSION, FEED_KIND, OPERATOR_FIELD_MANAGER
from ibfeed_api.log import Log
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError

_log: Final = Log(__name__)

_QUIET_S: Final = 60.0  # an event with the same reason and subject within this time is not posted again
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
    """The poster of the events of one feed or other object, at most one of each reason and subject a minute."""

    def __init__(self, kube: KubeClient, kind: str = FEED_KIND) -> None:
        self._kube = kube
        self._kind = kind
        self._last: dict[tuple[str, str], float] = {}

    async def post(
        self, about: Involved, kind: Literal["Normal", "Warning"], reason: str, subject: str, message: str
    ) -> None:
        """Post an event about ``subject``, such as a worker's name. A failure to post is only logged."""
        now = time.monotonic()
        self._last = {key: at for key, at in self._last.items() if now - at < _QUIET_S}
        if (reason, subject) in self._last:
            return
        self._last[reason, subject] = now
        where = {"namespace": about.namespace, self._kind.removeprefix("Ib").lower(): about.name}
        _log.info("an event for people", reason=str(reason), message=message, **where)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{about.name}.{uuid.uuid4().hex[:16]}", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": self._kind,
                "name": about.name,
                "namespace": about.namespace,
                "uid": about.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "source": {"component": OPERATOR_FIELD_MANAGER},
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }
        try:
            await self._kube.create(event)
        except KubeError as error:
            _log.warning("an event was not posted", reason=str(reason), error=str(error), **where)
