"""From a former version to this one and back, while feeds stream: as docs/upgrade.md has it.

The former version is the newest tag. As long as there is none, it is the tree of some commits ago. The operators are
processes, as two pods of a rolling update: the new one stands by, then the old one is told to stop.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support.cluster import ROOT
from support.control_plane import ControlPlane, control_plane
from support.hollow import Crew
from support.hollow_feed import RELEASED, Feed, balanced, epochs, eventually, hollow_crew, streaming
from support.operator_process import Operator

apart = asyncio.to_thread  # the crew's loop must not wait for a program, or its workers seem dead
BACK = 20  # commits, where there is no tag
LEASE = "/apis/coordination.k8s.io/v1/namespaces/ibfeed-system/leases/ibfeed-operator"
pytestmark = pytest.mark.asyncio(loop_scope="module")


def git(*words: str) -> bytes:
    # A clone that is another user's, as a container's is, is read all the same.
    command = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), *words]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert not done.returncode, f"{' '.join(words)}: {done.stderr.decode().strip()}; is this clone a shallow one?"
    return done.stdout


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tags = git("tag", "--list", "v*", "--sort=-version:refname", "--merged").decode().split()
    reference = tags[0] if tags else f"HEAD~{BACK}"
    folder = tmp_path_factory.mktemp("former")
    tree = git("archive", reference, "api", "operator", "crds", "manifests")
    subprocess.run(["tar", "--extract", "--directory", str(folder)], input=tree, check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def plane(former: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster with the former version's definitions and rights."""
    directory = tmp_path_factory.mktemp("control-plane")
    lease = directory / "lease.json"
    lease.write_text(json.dumps(RELEASED))
    manifests = former / "manifests" / "operator"
    with control_plane(
        directory, [former / "crds", manifests / "namespace.yaml", manifests / "rbac.yaml", lease]
    ) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    async with hollow_crew(plane) as crew:
        yield crew


class Rollout:
    """The operator's Deployment: one pod acts, and another takes its place."""

    def __init__(self, plane: ControlPlane, crew: Crew) -> None:
        self._plane, self._crew = plane, crew
        self._acting: Operator | None = None

    async def to(self, pod: str, source: Path) -> None:
        """Start a pod of the version in ``source``; end the former one once the new one stands by."""
        new = Operator(self._plane, pod, kept=False, source=source)
        ahead = new.log.stat().st_size if new.log.exists() else 0
        new.start()
        former, self._acting = self._acting, new

        async def stands_by() -> bool:
            return new.log.exists() and "authentication has finished" in new.log.read_text()[ahead:]

        if former is not None:
            await eventually(stands_by, within=30, what=f"{pod} stands by")
            former.signal(signal.SIGTERM)

        async def leader() -> str:
            holder = json.loads(await self._crew.cluster.get(LEASE))["spec"].get("holderIdentity", "")
            return str(holder.partition("_")[0])

        await eventually(leader, wanted=pod, within=20, what=f"{pod} leads")

    def end(self) -> None:
        if self._acting is not None:
            self._acting.kill()


async def settled(feed: Feed, *loads: int) -> None:
    await eventually(balanced(feed, *loads), within=20, what=f"loads are {loads}")
    await feed.ready(12)


async def test_upgrade_and_rollback_lose_nothing(crew: Crew, plane: ControlPlane, former: Path) -> None:
    rollout = Rollout(plane, crew)
    try:
        await rollout.to("former", former)
        async with streaming(crew, plane, "upgraded", 4, 4, 4) as feed:
            before = await epochs(feed)

            # Definitions first, then rights, then the operator.
            await apart(plane.kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
            await apart(plane.kubectl, "apply", "-f", str(ROOT / "manifests" / "operator" / "rbac.yaml"))
            await rollout.to("newer", ROOT)
            await settled(feed, 4, 4, 4)
            assert await epochs(feed) == before, "an upgrade of the operator moves nothing"
            await feed.patch(workers=4)
            await settled(feed, 3, 3, 3, 3)
            moved = await epochs(feed)
            assert all(moved[conid] >= epoch for conid, epoch in before.items())
            assert moved != before

            # Back: operator and rights. The newer definitions stay.
            await apart(plane.kubectl, "apply", "-f", str(former / "manifests" / "operator" / "rbac.yaml"))
            await rollout.to("former-again", former)
            await settled(feed, 3, 3, 3, 3)
            assert await epochs(feed) == moved, "a rollback moves nothing"
            await feed.patch(workers=3)
            await settled(feed, 4, 4, 4)
            assert all(epoch >= moved[conid] for conid, epoch in (await epochs(feed)).items())
            assert crew.lost("upgraded") == []
            assert crew.dropped == []
    finally:
        rollout.end()
