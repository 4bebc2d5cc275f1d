"""A real control plane, the real operator as a process, and crowds of hollow workers; no pod runs.

What a kubelet would do (bind a pod, say that its container runs or has died) is done here, by the user ``admin``; the
workers act as the ServiceAccount that the operator made for them, under its Role.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.kinds import API_VERSION, FEED_PLURAL, SHARD_PLURAL
from ibfeed_api.labels import LABEL_FEED
from ibfeed_api.worker_pod import WORKER_CONTAINER
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import NotFoundError
from ownership import audit
from ownership.crowd import NAMESPACE
from support.cluster import ROOT
from support.control_plane import ADMIN, OPERATOR, ControlPlane, control_plane
from support.memory import resident_mb

FEED: Final = "scale"
WORKERS: Final = f"system:serviceaccount:{NAMESPACE}:{FEED}-worker"
PODS: Final = f"/api/v1/namespaces/{NAMESPACE}/pods"
SHARDS: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{SHARD_PLURAL}"
FEEDS: Final = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{FEED_PLURAL}"
_STARTING: Final = 4  # workers at once: one machine plays the nodes of 200, which would starve it together
_OPERATE: Final = (
    "import asyncio, os;"
    "from ibfeed_operator.kube.election import identity;"
    "from ibfeed_operator.main import operate, settings_from_environment;"
    "asyncio.run(operate(settings_from_environment(os.environ), me=identity(os.environ), port=0))"
)
_PYTHONPATH: Final = os.pathsep.join(
    str(ROOT / folder) for folder in ("api", "operator", "worker", "benchmarks", "tests")
)

Found = TypeVar("Found")


class _Base(msgspec.Struct, rename="camel"):
    pass


class _Meta(_Base):
    name: str
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None


class _Held(msgspec.Struct, frozen=True):
    """An entry of a shard, a worker's report of one, or a line of a feed's status."""

    conid: int
    epoch: int = 0
    state: str = ""


class _Contracts(_Base):
    contracts: tuple[_Held, ...] = ()
    contract_count: int = 0
    publishing_count: int = 0
    workers: int = 0
    session: str = ""


class _Seen(_Base):
    metadata: _Meta
    spec: _Contracts = msgspec.field(default_factory=_Contracts)
    status: _Contracts = msgspec.field(default_factory=_Contracts)


class _Event(_Base):
    type: str
    object: msgspec.Raw


class View:
    """What the API says of one collection, kept up to date by a watch; ``sizes``: the latest JSON of each object."""

    def __init__(self, path: str, labels: str = "") -> None:
        self.objects: dict[str, _Seen] = {}
        self.sizes: dict[str, int] = {}
        self.changed = asyncio.Condition()
        self._query = {"watch": "true", "labelSelector": labels, "timeoutSeconds": "3600"}
        self._path = path

    async def follow(self, session: aiohttp.ClientSession) -> None:
        await self._served(session)
        while True:  # the API server ends a watch now and then; the next one begins with all that there is
            async with session.get(self._path, params=self._query, timeout=aiohttp.ClientTimeout(total=None)) as answer:
                await self._read(answer.content)

    async def _read(self, stream: aiohttp.StreamReader) -> None:
        rest = b""
        async for chunk in stream.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                event = msgspec.json.decode(line, type=_Event)
                if event.type == "ERROR":  # the watch was too slow, and is begun anew
                    return
                self._take(event)
            if lines:
                async with self.changed:
                    self.changed.notify_all()

    async def _served(self, session: aiohttp.ClientSession) -> None:
        """Until the API server is ready to serve a kind that it has just learned."""
        async with asyncio.timeout(30):
            while True:
                async with session.get(self._path, params={"resourceVersion": "0"}) as answer:
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.2)

    def _take(self, event: _Event) -> None:
        seen = msgspec.json.decode(event.object, type=_Seen)
        name = seen.metadata.name
        if event.type == "DELETED":
            self.objects.pop(name, None)
            self.sizes.pop(name, None)
        else:
            self.objects[name] = seen
            self.sizes[name] = len(bytes(event.object))

    async def until(self, ask: Callable[[], Found], *, within: float, what: str) -> Found:
        """Wait until the answer is truthy; it is asked anew after each event. Raises AssertionError."""
        try:
            async with asyncio.timeout(within), self.changed:
                return await self.changed.wait_for(ask)
        except TimeoutError:
            raise AssertionError(f"not within {within:g} s: {what}") from None


class Process:
    """A program that belongs to the stage."""

    def __init__(self, plane: ControlPlane, name: str, command: list[str], environment: dict[str, str]) -> None:
        self._name = name
        everything = {**os.environ, "PYTHONPATH": _PYTHONPATH, **environment}
        with (plane.directory / f"{name}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                env=everything,
                cwd=plane.directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Linux shares processors out by session: all in one get what one program gets
            )

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()

    def memory_mb(self) -> tuple[float, float]:
        """Resident memory now, and the most that it ever was."""
        assert self._process.poll() is None, "the process has ended"
        return resident_mb(self._process.pid)

    async def ended(self) -> None:
        """Raises AssertionError once it has ended by itself."""
        while self._process.poll() is None:  # noqa: ASYNC110 - asyncio is told by no event
            await asyncio.sleep(0.5)
        raise AssertionError(f"{self._name} has ended")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def cpu_s() -> dict[str, float]:
    """Seconds of processor time that each program of the stage has used, and what measures (``bench``)."""
    used: dict[str, float] = {"bench": time.process_time()}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == os.getpid():
                words = (folder / "cmdline").read_text().split("\0")
                name = "crowd" if "ownership.crowd" in words else "operator" if _OPERATE in words else words[1]
                seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                used[name] = used.get(name, 0.0) + seconds
    return used


class Stage:
    def __init__(self, plane: ControlPlane, cluster: KubeClient, operator: Process, crowds: list[Process]) -> None:
        self.plane, self.cluster, self.operator = plane, cluster, operator
        self.shards = View(SHARDS)
        self.feeds = View(FEEDS)
        self._pods = View(PODS, LABEL_FEED)
        self._crowds = crowds
        self._places: dict[str, tuple[Process, str]] = {}  # pod -> its crowd and its address
        self._running: dict[str, str] = {}  # pod -> uid

    @property
    def audit_log(self) -> Path:
        return self.plane.directory / "audit.log"

    def active(self) -> dict[int, str]:
        """Conid -> shard whose entry is Active."""
        return {
            held.conid: name
            for name, shard in self.shards.objects.items()
            for held in shard.spec.contracts
            if held.state == "Active"
        }

    def publishing(self) -> int:
        """How many entries are reported as published, under their epoch."""
        count = 0
        for shard in self.shards.objects.values():
            said = {(held.conid, held.epoch) for held in shard.status.contracts if held.state == "publishing"}
            count += sum((held.conid, held.epoch) in said for held in shard.spec.contracts if held.state == "Active")
        return count

    def moving(self) -> bool:
        return any(held.state != "Active" for shard in self.shards.objects.values() for held in shard.spec.contracts)

    async def kill(self, pod: str) -> float:
        """The container dies and stays dead. Returns when the API was told, in seconds since 1970."""
        self._places[pod][0].tell(f"kill {pod}")
        at = time.time()
        await self._write_pod(pod, {"terminated": {"exitCode": 137, "finishedAt": _now()}}, ready=False)
        return at

    async def start(self, pod: str) -> float:
        """A container starts in a pod that has a uid and an address."""
        crowd, ip = self._places[pod]
        at = time.time()
        await self._write_pod(pod, {"running": {"startedAt": _now()}}, ready=True)
        crowd.tell(f"start {pod} {self._running[pod]} {ip}")
        return at

    def begin(self, session: aiohttp.ClientSession, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        follow = [group.create_task(view.follow(session)) for view in (self.shards, self.feeds, self._pods)]
        live = [group.create_task(process.ended()) for process in (self.operator, *self._crowds)]
        return [*follow, *live, group.create_task(self._be_kubelet())]

    async def _be_kubelet(self) -> None:
        def fresh() -> list[str]:
            return [pod for pod, seen in self._pods.objects.items() if self._running.get(pod) != seen.metadata.uid]

        while True:
            async with self._pods.changed:
                await self._pods.changed.wait_for(fresh)
            for pod in fresh():
                async with self.shards.changed:
                    await self.shards.changed.wait_for(lambda: self._starting() < _STARTING)
                await self._adopt(pod, self._pods.objects[pod].metadata.uid)

    def _starting(self) -> int:
        """How many workers run that have yet to log in for the first time."""
        shards = self.shards.objects
        return sum(pod not in shards or shards[pod].status.session != "Streaming" for pod in self._running)

    async def _adopt(self, pod: str, uid: str) -> None:
        number = len(self._places)
        crowd = self._crowds[number % len(self._crowds)]
        self._places[pod] = (crowd, f"127.78.{number // 250}.{number % 250 + 1}")
        self._running[pod] = uid
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": NAMESPACE},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "hollow"},
        }
        await self.cluster._request("POST", f"{PODS}/{pod}/binding", body=binding)
        await self.start(pod)

    async def _write_pod(self, pod: str, state: dict[str, Any], *, ready: bool) -> None:
        ip = self._places[pod][1]
        container = {
            "name": WORKER_CONTAINER,
            "ready": ready,
            "restartCount": 0,
            "image": "hollow",
            "imageID": "hollow",
            "state": state,
        }
        status = {
            "phase": "Running",
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        }
        with contextlib.suppress(NotFoundError):
            await self.cluster.patch(f"{PODS}/{pod}/status", {"status": status})


@contextlib.asynccontextmanager
async def stage(directory: Path, *, crowds: int) -> AsyncIterator[Stage]:
    """All of it, from nothing; it ends with the context."""
    (directory / "audit.yaml").write_text(audit.POLICY)
    with _control_plane(directory) as plane, contextlib.ExitStack() as stack:
        operator = Process(
            plane,
            "operator",
            ["-c", _OPERATE],
            {
                "KUBECONFIG": str(plane.kubeconfig(OPERATOR)),
                "IBFEED_WORKER_IMAGE": "hollow",
                "POD_NAMESPACE": "ibfeed-system",
                "POD_NAME": "ibfeed-operator",
                "MALLOC_MMAP_THRESHOLD_": "131072",  # as in Dockerfile.operator
                "MALLOC_ARENA_MAX": "2",
                "POD_UID": "ibfeed-operator",
            },
        )
        stack.callback(operator.end)
        workers = {"KUBECONFIG": str(plane.kubeconfig(WORKERS))}
        crowd = [Process(plane, f"crowd-{number}", ["-m", "ownership.crowd"], workers) for number in range(crowds)]
        for process in crowd:
            stack.callback(process.end)
        configuration = Configuration()
        await config.load_kube_config(str(plane.kubeconfig(ADMIN)), client_configuration=configuration)
        async with KubeClient(ApiClient(configuration)) as cluster, _session(plane) as session:
            found = Stage(plane, cluster, operator, crowd)
            async with asyncio.TaskGroup() as group:  # whatever of it fails ends the run
                tasks = found.begin(session, group)
                yield found
                for task in tasks:
                    task.cancel()


@contextlib.contextmanager
def _control_plane(directory: Path) -> Iterator[ControlPlane]:
    manifests = [ROOT / "crds", *(ROOT / "manifests" / "operator" / name for name in ("namespace.yaml", "rbac.yaml"))]
    options = {
        "kube-apiserver": ["--audit-policy-file=audit.yaml", "--audit-log-path=audit.log"],
        # As fast as it can: how long Kubernetes takes to make 200 pods is not what is measured.
        "kube-controller-manager": ["--kube-api-qps=500", "--kube-api-burst=1000"],
    }
    groups = {WORKERS: f"system:serviceaccounts,system:serviceaccounts:{NAMESPACE},system:authenticated"}
    with control_plane(directory, manifests, users=groups, options=options) as plane:
        yield plane


def _session(plane: ControlPlane) -> aiohttp.ClientSession:
    found = yaml.safe_load(plane.kubeconfig(ADMIN).read_text())
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    return aiohttp.ClientSession(
        found["clusters"][0]["cluster"]["server"],
        headers={"Authorization": f"Bearer {found['users'][0]['user']['token']}", "Accept-Encoding": "identity"},
        connector=aiohttp.TCPConnector(ssl=insecure),
        read_bufsize=1 << 22,
    )


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
