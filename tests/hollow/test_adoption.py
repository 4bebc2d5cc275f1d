"""A feed that is applied again where an earlier one of its name has left its objects, with pods that stream."""

from __future__ import annotations

import json

import pytest

from ibfeed_operator.kube.errors import NotFoundError
from support.control_plane import ControlPlane
from support.hollow import NAMESPACE, PODS, SHARDS, Crew
from support.hollow_feed import FEEDS, Feed, balanced, epochs, eventually, left_of
from support.operator_process import Operator

on_one_loop = pytest.mark.asyncio(loop_scope="module")
CHILDREN = (
    "/apis/apps/v1/namespaces/default/statefulsets/{}",
    "/api/v1/namespaces/default/services/{}",
    "/api/v1/namespaces/default/serviceaccounts/{}-worker",
    "/apis/policy/v1/namespaces/default/poddisruptionbudgets/{}",
    "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/{}",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/{}-worker",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/{}-worker",
)


async def orphan(feed: Feed) -> None:
    """``kubectl delete ibf --cascade=orphan``, and wait until its owner references are gone."""
    await feed.cluster._request("DELETE", f"{FEEDS}/{feed.name}", body={"propagationPolicy": "Orphan"})

    async def is_gone() -> bool:
        try:
            await feed.read()
        except NotFoundError:
            return True
        return False

    await eventually(is_gone, within=20, what="the feed is gone and its objects are left")


async def owners(feed: Feed) -> dict[str, list[str]]:
    """Path -> uids of the owners of each of the feed's objects."""
    paths = [child.format(feed.name) for child in CHILDREN] + [f"{SHARDS}/{name}" for name in await feed.shards()]
    found = {path: json.loads(await feed.cluster.get(path))["metadata"] for path in paths}
    return {path: [owner["uid"] for owner in meta.get("ownerReferences", ())] for path, meta in found.items()}


async def pods(feed: Feed) -> dict[str, str]:
    items = [json.loads(bytes(raw))["metadata"] for raw in await feed.cluster.list(PODS)]
    return {meta["name"]: meta["uid"] for meta in items if meta["name"].startswith(f"{feed.name}-")}


@on_one_loop
async def test_orphaned_feed_is_adopted_while_it_streams(crew: Crew, operator: Operator, plane: ControlPlane) -> None:
    feed = Feed(crew, "orphan")
    await feed.apply()
    await feed.ready(12)
    await eventually(balanced(feed, 4, 4, 4), within=10, what="three workers with four contracts each")
    before, pods_before, epochs_before = feed.published(), await pods(feed), await epochs(feed)
    await orphan(feed)
    assert set(map(tuple, (await owners(feed)).values())) == {()}

    await feed.apply()
    await feed.ready(12)
    uid = (await feed.read())["metadata"]["uid"]

    async def owned() -> bool:
        return set(map(tuple, (await owners(feed)).values())) == {(uid,)}

    await eventually(owned, within=10, what="everything is the new feed's")
    assert feed.published() == before
    assert await pods(feed) == pods_before
    assert await epochs(feed) == epochs_before
    assert crew.lost(feed.name) == []
    await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    await eventually(lambda: left_of(feed), wanted=[], within=30, what="nothing of the deleted feed is left")
    assert crew.doubles[:3] == []


@on_one_loop
async def test_somebody_else_s_object_is_refused(crew: Crew, operator: Operator, plane: ControlPlane) -> None:
    plane.kubectl("create", "service", "clusterip", "taken", "--tcp=80", "-n", NAMESPACE)
    feed = Feed(crew, "taken")
    await feed.apply()

    async def refused() -> bool:
        found = await feed.condition("Ready")
        return "Service taken is there already and not of this feed" in found.get("message", "")

    await eventually(refused, within=25, what="the Service of somebody else is named")
    service = json.loads(plane.kubectl("get", "service", "taken", "-n", NAMESPACE, "-o", "json"))
    assert "ownerReferences" not in service["metadata"]
    await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    plane.kubectl("delete", "service", "taken", "-n", NAMESPACE)
