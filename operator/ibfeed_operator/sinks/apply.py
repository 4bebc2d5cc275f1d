"""Applies the objects of a sink on the server, as often as they differ from what was applied last."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from typing import Final

import msgspec

from ibfeed_api.kinds import OPERATOR_FIELD_MANAGER, SINK_KIND
from ibfeed_api.labels import LABEL_MANAGED_BY, LABEL_SINK
from ibfeed_operator.kube.client import KubeClient, path_of
from ibfeed_operator.kube.errors import KubeError, NotFoundError
from ibfeed_operator.model.decode import Named
from ibfeed_operator.resources.metadata import Manifest
from ibfeed_operator.sinks.model import Sink

REAPPLY_S: Final = 60.0  # what somebody changes in an object of ours lasts this long


class Applier:
    """The objects of one sink as this process last applied them."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube: Final = kube
        self._applied: Final[dict[str, tuple[str, float]]] = {}

    async def apply(self, sink: Sink, children: Iterable[Manifest]) -> None:
        """Apply what has changed, and all of it now and then.

        Raises KubeError, also if an object of that name is not this sink's.
        """
        for child in children:
            path, now = path_of(child), time.monotonic()
            digest = hashlib.sha256(msgspec.json.encode(child)).hexdigest()
            applied, at = self._applied.get(path, ("", 0.0))
            if digest == applied and now - at < REAPPLY_S:
                continue
            self._applied.pop(path, None)  # should it fail, it is not known what is there
            version = await self._version_to_apply_to(sink, path, f"{child['kind']} {child['metadata']['name']}")
            await self._kube.apply(child, resource_version=version)
            self._applied[path] = (digest, now)

    def forget(self) -> None:
        """Apply all of it next time: something of it is gone."""
        self._applied.clear()

    async def _version_to_apply_to(self, sink: Sink, path: str, what: str) -> str | None:
        """The object's resourceVersion, None if it isn't there. Raises KubeError if it is there and not this sink's.

        Applying takes every field over, so an object of another owner must not be applied to.
        """
        try:
            found = msgspec.json.decode(await self._kube.get(path), type=Named).metadata
        except NotFoundError:
            return None
        owners = found.owner_references
        ours = {LABEL_SINK: sink.name, LABEL_MANAGED_BY: OPERATOR_FIELD_MANAGER}.items() <= found.labels.items()
        if any(owner.uid == sink.uid for owner in owners) or (ours and not owners):
            return found.resource_version
        if ours and all((owner.kind, owner.name) == (SINK_KIND, sink.name) for owner in owners):
            raise KubeError(f"{what} is being deleted with an earlier IbSink of this name: waiting until it is gone")
        raise KubeError(f"{what} is there already and not of this sink: give the IbSink another name")
