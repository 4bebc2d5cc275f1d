"""``POST /api/plan``: what would move if an edited spec were applied, for those who may see the feed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import web

from ibfeed_api.feed import FeedSpec
from ibfeed_api.labels import LABEL_FEED
from ibfeed_api.plan import PlanDocument
from ibfeed_operator.controller.snapshot import taken_elsewhere
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.model.decode import read_pod
from ibfeed_operator.model.types import Feed
from ibfeed_operator.planning.preview import World, preview

if TYPE_CHECKING:
    from ibfeed_operator.console.desk import Informed
    from ibfeed_operator.console.server import Viewer


class PlanRequest(msgspec.Struct, frozen=True):
    """The body of a call.

    Args:
        namespace, feed: of the IbFeed, which is there already.
        spec: the edited one, with all defaults, as the API server would keep it.
    """

    namespace: str
    feed: str
    spec: FeedSpec


class Plans:
    """The plans that are asked for. Pods are read at each call: the page itself shows none."""

    def __init__(self, kube: KubeClient, informed: Informed) -> None:
        self._kube: Final = kube
        self._informed: Final = informed

    async def answer(self, viewer: Viewer, body: bytes) -> PlanDocument:
        """Plan. Raises aiohttp's HTTPBadRequest, HTTPForbidden, HTTPNotFound and HTTPServiceUnavailable."""
        try:
            asked = msgspec.json.decode(body, type=PlanRequest)
        except msgspec.MsgspecError as error:
            raise web.HTTPBadRequest(text=f"the body is no request for a plan: {error}\n") from None
        if asked.namespace not in viewer.namespaces:
            raise web.HTTPForbidden(text=f"you may not list the feeds of namespace {asked.namespace}\n")
        feed = self._informed.feeds.value((asked.namespace, asked.feed))
        if feed is None:
            raise web.HTTPNotFound(text=f"namespace {asked.namespace} has no IbFeed {asked.feed}\n")
        if not isinstance(feed, Feed):
            raise web.HTTPBadRequest(text=f"the spec of {asked.feed} that is applied cannot be read: correct it\n")
        return preview(await self._world(feed), asked.spec)

    async def _world(self, feed: Feed) -> World:
        path = collection("v1", "pods", feed.namespace)
        try:
            raw = await self._kube.list(path, labels=f"{LABEL_FEED}={feed.name}")
        except KubeError as error:
            raise web.HTTPServiceUnavailable(text=f"the feed's pods cannot be read: {error}\n") from None
        source = feed.spec.accounts.source
        shards = [shard for _, shard in self._informed.shards.values(feed.namespace)]
        leases = [lease for _, lease in self._informed.leases.values(feed.namespace) if lease.source == source]
        return World(
            feed=feed,
            shards=tuple(sorted((one for one in shards if one.spec.feed == feed.name), key=lambda one: one.worker)),
            pods=tuple(pod for one in raw if (pod := read_pod(one)) is not None),
            leases=tuple(sorted(leases, key=lambda lease: lease.index)),
            now=datetime.now(UTC),
            taken=taken_elsewhere(shards, source, but=feed.name),
        )
