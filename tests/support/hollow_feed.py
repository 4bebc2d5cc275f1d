"""A control plane with its hollow crew, and a feed on it that tests change and look at."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_operator.kube.client import KubeClient
from support.cluster import ROOT
from support.control_plane import ADMIN, KUBE, ControlPlane, control_plane
from support.hollow import LEASES, NAMESPACE, PODS, SHARDS, Crew, quietly

FEEDS = f"/apis/ibfeed.dev/v1alpha1/namespaces/{NAMESPACE}/ibfeeds"

# The Lease as an operator leaves it that stopped in order. Without it the first operator waits for 10 s.
RELEASED = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "ibfeed-operator", "namespace": "ibfeed-system"},
    "spec": {"leaseDurationSeconds": 1},
}


@contextlib.contextmanager
def hollow_plane(directory: Path, **options: Sequence[str]) -> Iterator[ControlPlane]:
    """Run a control plane that knows the operator's kinds and rights, but has no operator.

    ``options`` are more flags of each program. Hyphens in names of programs are underscores here.
    """
    assert KUBE.exists(), f"{KUBE} is missing: run make up"
    operator = ROOT / "manifests" / "operator"
    lease = directory / "lease.json"
    lease.write_text(json.dumps(RELEASED))
    manifests = [ROOT / "crds", operator / "namespace.yaml", operator / "rbac.yaml", lease]
    flags = {program.replace("_", "-"): given for program, given in options.items()}
    with control_plane(directory, manifests, options=flags) as plane:
        yield plane


@contextlib.asynccontextmanager
async def hollow_crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    """Run a crew. Its event loop must be that of the tests which use it."""
    configuration = Configuration()
    await config.load_kube_config(str(plane.kubeconfig(ADMIN)), client_configuration=configuration)
    async with KubeClient(ApiClient(configuration)) as cluster:
        crew = Crew(cluster)
        task = asyncio.create_task(crew.run())
        try:
            yield crew
        finally:
            await quietly(task)
            await crew.close()


class Feed:
    """A feed under test."""

    def __init__(self, crew: Crew, name: str) -> None:
        self.crew, self.cluster, self.name = crew, crew.cluster, name

    async def apply(self, **spec: Any) -> None:
        manifest = {
            "apiVersion": "ibfeed.dev/v1alpha1",
            "kind": "IbFeed",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "roots": [{"symbol": "CL"}, {"symbol": "NG"}],
                "frontMonths": 6,
                "workers": 3,
                "accounts": {"secretRef": {"name": f"{self.name}-accounts"}, "first": 1, "count": 6},
                "kafka": {"bootstrapServers": "kafka:9092"},
                **spec,
            },
        }
        await self.cluster.create(manifest)

    async def patch(self, **spec: Any) -> None:
        await self.cluster.patch(f"{FEEDS}/{self.name}", {"spec": spec})

    async def read(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.cluster.get(f"{FEEDS}/{self.name}"))
        return found

    async def shards(self) -> dict[str, dict[str, Any]]:
        items = [json.loads(bytes(raw)) for raw in await self.cluster.list(SHARDS)]
        return {item["metadata"]["name"]: item for item in items if item["spec"]["feed"] == self.name}

    def published(self) -> dict[int, str]:
        return self.crew.streaming(self.name)

    def loads(self) -> dict[str, int]:
        return dict(Counter(self.published().values()))

    async def condition(self, kind: str) -> dict[str, Any]:
        conditions = (await self.read()).get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == kind), {})

    async def ready(self, contracts: int, within: float = 20) -> None:
        async def is_ready() -> bool:
            feed = await self.read()
            ready = await self.condition("Ready")
            current = ready.get("observedGeneration") == feed["metadata"]["generation"]
            return ready.get("status") == "True" and current and len(self.published()) == contracts

        await eventually(is_ready, within=within, what=f"{self.name} is Ready with {contracts} contracts")


async def eventually(ask: Callable[[], Awaitable[object]], *, within: float, what: str, wanted: object = True) -> float:
    """Wait until ``ask`` gives ``wanted``; return the seconds."""
    started = time.monotonic()
    while (answer := await ask()) != wanted:
        if time.monotonic() - started > within:
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {answer}")
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def balanced(feed: Feed, *loads: int) -> Callable[[], Awaitable[bool]]:
    async def isbalanced() -> bool:
        return sorted(feed.loads().values()) == sorted(loads) and not await moving(feed)

    return isbalanced


async def epochs(feed: Feed) -> dict[int, int]:
    return {entry["conid"]: entry["epoch"] for entry in await _moved(feed)}


async def moving(feed: Feed) -> bool:
    return any(entry["state"] != "Active" for entry in await _moved(feed))


async def _moved(feed: Feed) -> list[dict[str, Any]]:
    """Return the entries of all shards but hot standbys, which take no part in moves."""
    shards = (await feed.shards()).values()
    return [entry for shard in shards for entry in shard["spec"].get("contracts", ()) if not entry.get("hot")]


async def left_of(feed: Feed) -> list[str]:
    paths = (FEEDS, SHARDS, PODS, LEASES, f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets")
    items = [json.loads(bytes(raw)) for path in paths for raw in await feed.cluster.list(path)]
    return [f"{item.get('kind')} {name}" for item in items if feed.name in (name := item["metadata"]["name"])]


@contextlib.asynccontextmanager
async def streaming(crew: Crew, plane: ControlPlane, name: str, *loads: int, **spec: Any) -> AsyncIterator[Feed]:
    """Run a feed with 12 contracts. Afterwards nothing of it may be left, and nothing may have come twice."""
    feed = Feed(crew, name)
    await feed.apply(workers=len(loads), **spec)
    try:
        await feed.ready(12, within=40)
        await eventually(balanced(feed, *loads), within=20, what=f"loads of {loads}")
        yield feed
    except AssertionError:
        print((plane.directory / "operator.log").read_text()[-8000:])
        raise
    await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    await eventually(lambda: left_of(feed), wanted=[], within=40, what="nothing of the deleted feed is left")
    assert crew.doubles[:3] == []
