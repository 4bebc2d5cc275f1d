"""Hollow workers: they use the API as a kubelet and our worker do, without pods, gateways or data.

A ``Crew`` adopts each pod of the control plane and pretends to run its container. It treats Lease and IbShard as
docs/architecture/ says, so that the operator sees no difference. It notes each process that published, with contract
and epoch.

Their market: each beat of the crew is an update of every contract, with the beat's number for its time. Each
subscriber gets it. ``Crew.records`` are the published updates. A number that is missing or comes twice is a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import json
import os
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ibfeed_api import calls, symbology
from ibfeed_api.feed import FILTERS
from ibfeed_api.kinds import API_VERSION, SHARD_PLURAL
from ibfeed_api.labels import LABEL_FEED
from ibfeed_api.records import seq_of
from ibfeed_api.worker_pod import WORKER_CONTAINER, WORKER_PORT
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import ConflictError, KubeError, NotFoundError

NAMESPACE = "default"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SHARDS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{SHARD_PLURAL}"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
TICK_S = 0.05
LEAVE_S = 15  # as in ibfeed_worker.worker
_SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
_SAYS = "kafka:9092 refuses connections"

# IB's list: by root, the conids of twelve months of one year. They expire far in the future, on each month's 20th.
ROOTS = {"CL": 1000, "NG": 2000, "ES": 3000, "GC": 4000, "RB": 5000, "HO": 6000, "SI": 7000, "HHI.HK": 9000}
YEARS = {"RB": 2029, "HO": 2029}
# Products of a root: trading class and multiplier, a thousand conids apart.
PRODUCTS = {"SI": (("SI", "5000"), ("SIL", "1000"))}


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def listed(root: str, months: int, since: str) -> dict[str, list[dict[str, Any]]]:
    """Return the nearest contracts by trading class."""
    year = YEARS.get(root, 2031)
    found = {}
    for place, (trading_class, multiplier) in enumerate(PRODUCTS.get(root, ((root, "1000"),))):
        every: list[dict[str, Any]] = [
            {
                "conid": ROOTS[root] + 1000 * place + month,
                "root": root,
                "symbol": symbology.symbol(trading_class, f"{year}{month:02d}"),
                "exchange": "NYMEX",
                "tradingClass": trading_class,
                "multiplier": multiplier,
                "currency": "USD",
                "contractMonth": f"{year}{month:02d}",
                "lastTradingDay": f"{year}{month:02d}20",
            }
            for month in range(1, 13)
        ]
        found[trading_class] = [contract for contract in every if contract["lastTradingDay"] >= since][:months]
    return found


def product_of(contract: dict[str, Any]) -> dict[str, Any]:
    words = {name: contract[name] for name in FILTERS}
    return {**words, "months": 12, "example": contract["symbol"]}


@dataclass
class Line:
    """One subscription. ``upto`` is the last update that its process published, or knows to be published."""

    epoch: int = 0
    state: str = ""
    behind: int = 0  # the topic's epoch if ours is not above it: then nothing is published
    upto: int = 0
    buffer: deque[int] = field(default_factory=lambda: deque(maxlen=200))


@dataclass(frozen=True)
class Fate:
    """A death to come: ``victim``'s container dies when ``pod`` reports ``conid`` as ``state``.

    ``written``: it dies after the report was written, else just before.
    """

    pod: str
    conid: int
    state: str
    victim: str
    written: bool


@dataclass
class Hollow:
    """One worker's pod and process. Tests set ``session`` and ``reason``.

    ``cut_off``: it does not reach the API. ``kafka``: why Kafka acknowledges nothing of it; empty: it does acknowledge.
    """

    pod: str
    uid: str
    ip: str
    crew: Crew
    session: str = "Streaming"
    reason: str = ""
    kafka: str = ""
    cut_off: bool = False
    started_at: str = ""
    alive: bool = True
    node_gone: bool = False
    spec: dict[str, Any] = field(default_factory=dict)
    left_behind: dict[int, int] | None = None  # conid -> epoch that an earlier process reported; not read yet
    reported: str = ""
    running: dict[str, Any] = field(default_factory=dict)  # the state of its container
    renewed: float = 0.0
    held: str = ""
    seen: tuple[str, float] = ("", 0.0)  # version of a Lease of another holder, and since when it is unchanged
    ready: bool = False
    pod_since: str = ""
    ready_since: str = ""  # when the pod's condition Ready changed last
    told_to_stop: float | None = None  # when, on the loop's clock
    lines: dict[int, Line] = field(default_factory=dict)
    own: dict[int, int] = field(default_factory=dict)  # conid -> epoch under which this process published last
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def feed(self) -> str:
        return self.pod.rpartition("-")[0]

    @property
    def process(self) -> str:
        return f"{self.pod} since {self.started_at}"

    @property
    def publishing(self) -> dict[int, int]:
        """Return conid -> epoch of all that it publishes."""
        if not self.streams or self.kafka:
            return {}
        return {conid: line.epoch for conid, line in self.lines.items() if line.state == "Active"}

    @property
    def streams(self) -> bool:
        return self.alive and self.session == "Streaming" and bool(self.held)


class Crew:
    def __init__(self, cluster: KubeClient) -> None:
        self.cluster = cluster
        self.workers: dict[str, Hollow] = {}
        self.asked: list[tuple[str, str]] = []  # pod, root
        self.unknown: set[str] = set()
        self.forgotten: set[int] = set()  # conids that IB's answers lack
        # Feed, conid and epoch -> the processes that published under it.
        self.publishers: dict[tuple[str, int, int], set[str]] = defaultdict(set)
        self.doubles: list[str] = []
        self.cold: set[str] = set()  # pods whose subscriptions never get data
        self.records: dict[tuple[str, int], list[int]] = defaultdict(list)  # by feed and conid
        self.fates: list[Fate] = []
        self.dead_servers: set[str] = set()  # bootstrapServers at which there is no Kafka
        self.unpullable: set[str] = set()  # images that no registry has
        # Feed and conid -> update -> the processes that were sent it. And the processes that died suddenly.
        self.witnesses: dict[tuple[str, int], dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        self.dead: set[str] = set()
        self.taken: dict[tuple[str, int], int] = defaultdict(int)  # the highest epoch that was reported ``publishing``
        self.topics: dict[str, str] = {}  # feed -> its topic, if it shares one
        self.on_topic: dict[tuple[str, int], int] = defaultdict(int)  # by topic and conid the highest epoch of a record
        self.dropped: list[str] = []  # by a reader that drops records of a lower epoch than it has seen of the conid
        self._beat = 0
        self._restarts: dict[str, int] = defaultdict(int)
        self._addresses: dict[str, str] = {}  # a name keeps its address and its server for life
        self._servers: dict[str, web.AppRunner] = {}

    async def run(self) -> None:
        while True:
            await self._look_after_pods()
            await asyncio.gather(*(self._live(worker) for worker in list(self.workers.values()) if worker.alive))
            await asyncio.gather(*(self._probe(worker) for worker in list(self.workers.values()) if worker.alive))
            self._emit()
            self._audit()
            await asyncio.sleep(TICK_S)

    async def close(self) -> None:
        for server in self._servers.values():
            await server.cleanup()

    def streaming(self, feed: str) -> dict[int, str]:
        """Return conid -> pod that publishes it for ``feed``."""
        mine = (worker for worker in self.workers.values() if worker.feed == feed)
        return {conid: worker.pod for worker in mine for conid in worker.publishing}

    def lost(self, feed: str) -> list[str]:
        """Return the holes in the published updates of ``feed``."""
        return [
            f"{conid}: nothing between {before} and {after}"
            for (name, conid), record in self.records.items()
            if name == feed
            for before, after in itertools.pairwise(record)
            if after > before + 1
        ]

    def lost_though_had(self, feed: str) -> list[str]:
        """Return the holes of ``feed`` that a process could have filled which lives, or which ended in order.

        A process that forgot a contract, because its heir published it, could not fill a hole. Updates between the
        heir's death and that news are lost.
        """
        return [
            f"{conid}: {update} was sent to {witnesses}"
            for (name, conid), record in self.records.items()
            if name == feed
            for before, after in itertools.pairwise(record)
            for update in range(before + 1, after)
            if (witnesses := self.witnesses[name, conid][update] - self.dead)
        ]

    async def kill(self, pod: str, reason: str = "Error") -> None:
        """Let the container die. Nothing of it is released."""
        worker = self.workers[pod]
        worker.alive = False
        state = {"terminated": {"exitCode": 137, "reason": reason, "finishedAt": _now()}}
        await self._write_pod(worker, state, ready=False)
        self.dead.add(worker.process)

    def lose_node(self, pod: str) -> None:
        """Stop the node at once. Its last reports stay, and the pod can be deleted only by force."""
        self.workers[pod].alive = False
        self.workers[pod].node_gone = True

    async def restart(self, pod: str) -> None:
        """Start a new process in the same pod."""
        worker = self.workers[pod]
        self._restarts[pod] += 1
        fresh = Hollow(pod=pod, uid=worker.uid, ip=worker.ip, crew=self, session=worker.session)
        fresh.pod_since, fresh.ready_since, fresh.ready = worker.pod_since, worker.ready_since, worker.ready
        await self._start(fresh)

    # The kubelet's part

    async def _look_after_pods(self) -> None:
        items = [json.loads(bytes(raw)) for raw in await self.cluster.list(PODS, labels=LABEL_FEED)]
        seen = {item["metadata"]["name"]: item for item in items}
        for pod, item in seen.items():
            worker = self.workers.get(pod)
            if worker is None or worker.uid != item["metadata"]["uid"]:
                await self._adopt(item)
            elif item["metadata"].get("deletionTimestamp"):
                await self._terminate(worker)
        for pod in self.workers.keys() - seen.keys():
            del self.workers[pod]

    async def _adopt(self, item: dict[str, Any]) -> None:
        pod = item["metadata"]["name"]
        number = len(self._addresses) + 1
        # Crews of several test processes work side by side, each in its own range.
        net, subnet = 64 + os.getpid() % 64, os.getpid() // 64 % 200 + number // 250
        ip = self._addresses.setdefault(pod, f"127.{net}.{subnet}.{number % 250 + 1}")
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": NAMESPACE},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "hollow"},
        }
        await self.cluster._request("POST", f"{PODS}/{pod}/binding", body=binding)
        worker = Hollow(pod=pod, uid=item["metadata"]["uid"], ip=ip, crew=self)
        image = item["spec"]["containers"][0]["image"]
        if image in self.unpullable:
            worker.alive = False
            self.workers[pod] = worker
            why = {"reason": "ImagePullBackOff", "message": f"Back-off pulling image {image}"}
            await self._write_pod(worker, {"waiting": why}, ready=False)
            return
        servers = next(v["value"] for v in item["spec"]["containers"][0]["env"] if v["name"] == _SERVERS)
        worker.kafka = "BootstrapUnreachable" if servers in self.dead_servers else ""
        await self._serve(worker)
        await self._start(worker)

    async def _start(self, worker: Hollow) -> None:
        worker.running = {"running": {"startedAt": _now().split(".")[0] + "Z"}}
        await self._write_pod(worker, worker.running, ready=False)
        worker.started_at = _now()
        self.workers[worker.pod] = worker

    async def _probe(self, worker: Hollow) -> None:
        """Make a pod Ready if its worker streams and can publish."""
        ready = worker.streams and not worker.kafka
        if worker.ready != ready:
            with contextlib.suppress(NotFoundError):
                await self._write_pod(worker, worker.running, ready=ready)

    async def _write_pod(self, worker: Hollow, state: dict[str, Any], *, ready: bool) -> None:
        async with worker.writing:  # a test may kill it while the kubelet is writing that it runs
            if "running" in state and not worker.alive:
                return
            await self._write_status(worker, state, ready=ready)

    async def _write_status(self, worker: Hollow, state: dict[str, Any], *, ready: bool) -> None:
        worker.pod_since = worker.pod_since or _now()
        if ready != worker.ready or not worker.ready_since:
            worker.ready_since = _now()
        worker.ready = ready
        status = {
            "phase": "Running",
            "startTime": worker.pod_since,
            "podIP": worker.ip,
            "podIPs": [{"ip": worker.ip}],
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": worker.ready_since}],
            "containerStatuses": [
                {
                    "name": WORKER_CONTAINER,
                    "ready": ready,
                    "restartCount": self._restarts[worker.pod],
                    "image": "hollow",
                    "imageID": "hollow",
                    "state": state,
                }
            ],
        }
        await self.cluster.patch(f"{PODS}/{worker.pod}/status", {"status": status})

    async def _terminate(self, worker: Hollow) -> None:
        """Act on SIGTERM: wait until there is nothing to publish, release all contracts, free the account, end."""
        if worker.node_gone:
            return
        now = asyncio.get_running_loop().time()
        worker.told_to_stop = worker.told_to_stop or now
        if worker.publishing and now - worker.told_to_stop < LEAVE_S:
            return
        if worker.alive:
            await self._report(worker, releasing=True)
            worker.alive = False
            await self._hold(worker, "")
        await self.cluster._request("DELETE", f"{PODS}/{worker.pod}", body={"gracePeriodSeconds": 0})

    # The worker's part

    async def _live(self, worker: Hollow) -> None:
        if worker.cut_off:
            if asyncio.get_running_loop().time() - worker.renewed > 8:
                worker.held = ""  # it fences itself
            return
        try:
            raw = await self.cluster.get(f"{SHARDS}/{worker.pod}")
        except NotFoundError:
            worker.spec, worker.lines = {}, {}
            return
        shard = json.loads(raw)
        worker.spec = shard["spec"]
        if worker.left_behind is None:
            said = shard.get("status", {}).get("contracts", ())
            worker.left_behind = {one["conid"]: one["epoch"] for one in said if one["state"] != "warm"}
        self._obey(worker)
        account = worker.spec.get("account")
        now = asyncio.get_running_loop().time()
        if account and worker.session != "Parked" and (worker.held != account["lease"] or now - worker.renewed >= 3):
            with contextlib.suppress(ConflictError, NotFoundError):
                worker.held = account["lease"]
                worker.held = account["lease"] if await self._hold(worker, f"{worker.pod}_{worker.uid}") else ""
                worker.renewed = now
        await self._report(worker)

    def _obey(self, worker: Hollow) -> None:
        entries = {entry["conid"]: entry for entry in worker.spec.get("contracts", ())}
        for conid, line in worker.lines.items():
            if conid not in entries and line.epoch < self.taken[worker.feed, conid]:
                for update in line.buffer:
                    self.witnesses[worker.feed, conid][update].discard(worker.process)
        worker.lines = {conid: line for conid, line in worker.lines.items() if conid in entries and worker.streams}
        worker.own = {conid: epoch for conid, epoch in worker.own.items() if conid in entries}
        for conid, entry in entries.items():
            if self._is_over(worker, entry):
                continue
            if not worker.streams or (entry["state"] == "Retiring" and conid not in worker.lines):
                continue
            line = worker.lines.setdefault(conid, Line())
            if entry["state"] == "Active" and (line.state, line.epoch) != ("Active", entry["epoch"]):
                if line.state != "Active" and "mark" not in entry:
                    latest = self.on_topic[self._topic(worker), conid]
                    goes_on = entry["epoch"] == latest == worker.own.get(conid)
                    line.behind = latest if entry["epoch"] <= latest and not goes_on else 0
                if line.behind:
                    line.epoch, line.state = entry["epoch"], "Standby"
                    continue
                line.epoch = entry["epoch"]
                record = self.records[worker.feed, conid]
                known = entry["mark"]["eventTime"] if "mark" in entry else max(record, default=0)
                line.upto = max(line.upto, known)
                self._publish_held(worker, conid, line)
            line.epoch, line.state = entry["epoch"], entry["state"]

    def _is_over(self, worker: Hollow, entry: dict[str, Any]) -> bool:
        """Whether an earlier process published under the same epoch."""
        return bool((worker.left_behind or {}).get(entry["conid"]) == entry["epoch"])

    def _topic(self, worker: Hollow) -> str:
        return self.topics.get(worker.feed, worker.feed)

    def _publish_held(self, worker: Hollow, conid: int, line: Line) -> None:
        for update in line.buffer if not worker.kafka else ():
            self._publish(worker, conid, line, update)

    def _publish(self, worker: Hollow, conid: int, line: Line, update: int) -> None:
        if update > line.upto:
            topic = self._topic(worker)
            if line.epoch < self.on_topic[topic, conid]:
                self.dropped.append(f"{worker.pod} publishes {conid} under {line.epoch} on {topic}")
            self.on_topic[topic, conid] = max(line.epoch, self.on_topic[topic, conid])
            worker.own[conid] = line.epoch
            record = self.records[worker.feed, conid]
            if record and update <= record[-1]:
                self.doubles.append(f"{worker.pod} publishes {update} of {conid} after {record[-1]}")
            record.append(update)
            line.upto = update

    def _emit(self) -> None:
        self._beat += 1
        for worker in self.workers.values():
            for conid, line in worker.lines.items() if worker.streams else ():
                line.buffer.append(self._beat)
                self.witnesses[worker.feed, conid][self._beat].add(worker.process)
                if line.state == "Active":
                    self._publish_held(worker, conid, line)

    async def _hold(self, worker: Hollow, holder: str) -> bool:
        if not worker.held:
            return False
        lease = json.loads(await self.cluster.get(f"{LEASES}/{worker.held}"))
        present = lease["spec"].get("holderIdentity") or ""
        if present not in ("", f"{worker.pod}_{worker.uid}"):
            version, now = lease["metadata"]["resourceVersion"], asyncio.get_running_loop().time()
            worker.seen = worker.seen if worker.seen[0] == version else (version, now)
            if now - worker.seen[1] < 10:
                return False
        spec = {"holderIdentity": holder, "renewTime": _now()}
        version = {"resourceVersion": lease["metadata"]["resourceVersion"]}
        await self.cluster.patch(f"{LEASES}/{worker.held}", {"metadata": version, "spec": spec})
        return True

    async def _report(self, worker: Hollow, *, releasing: bool = False) -> None:
        reports = []
        for entry in worker.spec.get("contracts", ()):
            line = worker.lines.get(entry["conid"])
            retiring = releasing or entry["state"] == "Retiring" or self._is_over(worker, entry)
            ready = line is not None and worker.streams and worker.pod not in self.cold
            going = "warm" if entry["state"] == "Standby" else "publishing"
            ready = ready and not (worker.kafka and going == "publishing")
            state = "released" if retiring else going if ready else "subscribing"
            upto = line.upto if line is not None and not worker.kafka else 0
            mark = {"eventTime": upto, "seq": seq_of(entry["epoch"], upto)} if retiring and upto else {}
            behind = line.behind if line is not None and not retiring else 0
            more = {"kafkaEpoch": behind} if behind else mark
            state = "subscribing" if behind else state
            reports.append({"conid": entry["conid"], "epoch": entry["epoch"], "state": state, **more})
        held = worker.held if not releasing else ""
        status = {
            "startedAt": worker.started_at,
            "session": "Stopping" if releasing else worker.session if held else "WaitingForAccount",
            "reason": "Leaving" if worker.told_to_stop and held else worker.reason,
            "message": "",
            "marketDataLive": True,
            "kafka": {"reachable": not worker.kafka, "reason": worker.kafka, "message": _SAYS if worker.kafka else ""},
            "contractCount": len(reports),
            "contracts": reports,
        }
        said = json.dumps(status)
        if said == worker.reported:
            return
        fates = [fate for fate in self.fates if _befalls(fate, worker.pod, reports)]
        for fate in fates:
            self.fates.remove(fate)
            if not fate.written:
                await self.kill(fate.victim)
        if not worker.alive:
            return
        worker.reported = said
        with contextlib.suppress(NotFoundError):
            await self.cluster.patch(f"{SHARDS}/{worker.pod}/status", {"status": status})
            for report in reports:
                if report["state"] == "publishing":
                    key = worker.feed, report["conid"]
                    self.taken[key] = max(self.taken[key], report["epoch"])
        for fate in fates:
            if fate.written:
                await self.kill(fate.victim)

    async def _serve(self, worker: Hollow) -> None:
        if worker.pod in self._servers:
            return
        pod = worker.pod

        async def universe(request: web.Request) -> web.Response:
            root, worker = request.match_info["root"], self.workers[pod]
            try:
                calls.verify(
                    request.headers.get("Authorization", "").removeprefix("Bearer "),
                    public_key=worker.spec.get("operatorKey"),
                    shard=f"{NAMESPACE}/{worker.pod}",
                    path=request.rel_url.raw_path,
                )
            except calls.CallRefusedError as error:
                return web.json_response({"error": str(error)}, status=401)
            self.asked.append((worker.pod, root))
            if root not in ROOTS or root in self.unknown:
                return web.json_response({"error": f"IB does not know {root}"}, status=404)
            found = listed(root, int(request.query["months"]), request.query["since"])
            wanted = {name: request.query[name] for name in FILTERS if name in request.query}
            contracts = [
                contract
                for chain in found.values()
                for contract in chain
                if contract["conid"] not in self.forgotten and all(contract[name] == wanted[name] for name in wanted)
            ]
            products = [product_of(chain[0]) for chain in found.values() if chain]
            return web.json_response({"root": root, "contracts": contracts, "products": products})

        app = web.Application()
        app.add_routes([web.get("/v1/universe/{root}", universe)])
        runner = web.AppRunner(app)
        await runner.setup()
        self._servers[pod] = runner
        await web.TCPSite(runner, worker.ip, WORKER_PORT).start()

    def _audit(self) -> None:
        """Check that no contract is published twice, and that no two processes use one epoch."""
        who: dict[tuple[str, int], list[str]] = defaultdict(list)
        for worker in self.workers.values():
            for conid, epoch in worker.publishing.items():
                who[worker.feed, conid].append(worker.process)
                self.publishers[worker.feed, conid, epoch].add(worker.process)
        self.doubles += [f"{key}: {processes}" for key, processes in who.items() if len(processes) > 1]
        self.doubles += [f"epoch {key}: {value}" for key, value in self.publishers.items() if len(value) > 1]


def _befalls(fate: Fate, pod: str, reports: list[dict[str, Any]]) -> bool:
    said = {report["conid"]: report["state"] for report in reports}
    return fate.pod == pod and said.get(fate.conid) == fate.state


async def quietly(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, KubeError):
        await task
