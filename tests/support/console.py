"""The console as a process, on a control plane and a Kafka of the test's own, with feeds that are only written down."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from ibfeed_operator.kube.client import KubeClient, collection
from support.cluster import ROOT, eventually
from support.control_plane import ADMIN, ControlPlane
from support.ports import free_port

CONSOLE = "system:serviceaccount:ibfeed-system:ibfeed-console"
TRADER, STRANGER = "trader", "stranger"
USERS = {CONSOLE: "system:serviceaccounts,system:serviceaccounts:ibfeed-system", TRADER: "desk", STRANGER: "nobody"}
API = "ibfeed.dev/v1alpha1"
PARTITIONS = 12
MONTHS = "FGHJKMNQUVXZ"
ROOTS = ("CL", "NG", "RB", "HO", "ES", "NQ", "GC", "SI", "HG", "ZC", "ZS", "ZW", "6E", "6J", "ZN", "ZB", "BZ")


def symbol_of(conid: int) -> str:
    number = conid - 1
    root, place = ROOTS[number % len(ROOTS)], number // len(ROOTS)
    return f"{root}{MONTHS[place % 12]}{6 + place // 12}"


@dataclass(frozen=True)
class WrittenFeed:
    """A feed whose resources a test writes itself, as operator and workers would have."""

    name: str
    kafka: str
    contracts: int
    workers: int
    namespace: str = "default"
    spare: int = 2

    @property
    def topics(self) -> tuple[str, str]:
        return f"{self.name}-ticklast", f"{self.name}-events"

    def worker_of(self, conid: int) -> int:
        return (conid - 1) * self.workers // self.contracts

    def entry(self, conid: int, epoch: int = 7) -> dict[str, Any]:
        named = {"conid": conid, "symbol": symbol_of(conid), "root": symbol_of(conid)[:2], "exchange": "NYMEX"}
        months = {"contractMonth": "202712", "lastTradingDay": "20271220"}
        return {**named, **months, "slot": conid % PARTITIONS, "epoch": epoch}

    async def write(self, kube: KubeClient) -> None:
        """Write the feed, its shards and its accounts."""
        await self._write_feed(kube)
        async with asyncio.TaskGroup() as group:
            for worker in range(self.workers):
                group.create_task(self._write_shard(kube, worker))
            for index in range(1, self.workers + self.spare + 1):
                group.create_task(self._write_lease(kube, index))

    def conids(self, worker: int) -> list[int]:
        return [conid for conid in range(1, self.contracts + 1) if self.worker_of(conid) == worker]

    async def _write_feed(self, kube: KubeClient) -> None:
        ticks, events = self.topics
        topics = {"ticklast": {"name": ticks}, "feedEvents": {"name": events, "partitions": 1}}
        spec = {
            "roots": [{"symbol": root} for root in ROOTS],
            "frontMonths": 60,
            "workers": self.workers,
            "accounts": {"secretRef": {"name": "paper"}, "first": 1, "count": self.workers + self.spare},
            "kafka": {"bootstrapServers": self.kafka, "topics": topics},
        }
        await kube.create(self._object("IbFeed", self.name, spec))
        now = datetime.now(UTC).isoformat()
        ready = {"type": "Ready", "status": "True", "reason": "Streaming", "message": "streaming"}
        contracts = [
            {**self.entry(conid), "worker": f"{self.name}-{self.worker_of(conid)}", "publishing": True}
            for conid in range(1, self.contracts + 1)
        ]
        counts = dict.fromkeys(("contractCount", "assignedCount", "publishingCount"), self.contracts)
        conditions = [{**ready, "lastTransitionTime": now, "observedGeneration": 1}]
        status = {"conditions": conditions, "contracts": contracts, **counts}
        await kube.patch(f"{self._path('ibfeeds')}/{self.name}/status", {"status": status})

    async def _write_shard(self, kube: KubeClient, worker: int) -> None:
        own = self.conids(worker)
        account = {"source": "paper", "index": worker + 1, "lease": f"ib-account-paper-{worker + 1}"}
        entries = [{**self.entry(conid), "state": "Active"} for conid in own]
        spec = {"feed": self.name, "worker": worker, "account": account, "contracts": entries}
        await kube.create(self._object("IbShard", f"{self.name}-{worker}", spec))
        await self.report(kube, worker, "Streaming")

    async def report(self, kube: KubeClient, worker: int, session: str, message: str = "") -> None:
        """Write a worker's status."""
        own = self.conids(worker)
        reports = [{"conid": conid, "epoch": 7, "state": "publishing"} for conid in own]
        status = {
            "session": session,
            "message": message,
            "account": worker + 1,
            "kafka": {"reachable": True},
            "contractCount": len(own),
            "lines": f"{len(own)}/100",
            "contracts": reports,
        }
        await kube.patch(f"{self._path('ibshards')}/{self.name}-{worker}/status", {"status": status})

    async def move(self, kube: KubeClient, conids: list[int], old: int, new: int) -> None:
        """Give contracts of one worker to another, as the operator's last step of a move does."""
        for worker, entries in (
            (old, [conid for conid in self.conids(old) if conid not in conids]),
            (new, self.conids(new) + conids),
        ):
            listed = [{**self.entry(conid, 8 if conid in conids else 7), "state": "Active"} for conid in entries]
            await kube.patch(f"{self._path('ibshards')}/{self.name}-{worker}", {"spec": {"contracts": listed}})

    async def write_sink(self, kube: KubeClient, name: str, lag: int | None, ready: str = "True") -> None:
        """Write an IbSink to Redis with its status."""
        spec = {"feedRef": {"name": self.name}, "redis": {"url": "redis://redis:6379/0"}}
        await kube.create(self._object("IbSink", name, spec))
        now = datetime.now(UTC).isoformat()
        text = "records are written" if ready == "True" else "Redis refuses the password: mend Secret redis"
        condition = {"type": "Ready", "status": ready, "reason": "Writing", "message": text}
        status: dict[str, Any] = {
            "conditions": [{**condition, "lastTransitionTime": now, "observedGeneration": 1}],
            "destination": "redis",
            "rows": 123456,
            "lastWriteTime": now,
            **({} if lag is None else {"lag": lag, "latencyP99Ms": 70}),
        }
        await kube.patch(f"{self._path('ibsinks')}/{name}/status", {"status": status})

    async def _write_lease(self, kube: KubeClient, index: int) -> None:
        holder = f"{self.name}-{index - 1}_uid" if index <= self.workers else ""
        parked = {"ibfeed.dev/parked": "WrongPassword"} if index == self.workers + self.spare else {}
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": f"ib-account-paper-{index}",
                "namespace": self.namespace,
                "labels": {"ibfeed.dev/account-source": "paper"},
                "annotations": parked,
            },
            "spec": {"holderIdentity": holder} if holder else {},
        }
        await kube.create(lease)

    def _object(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}

    def _path(self, plural: str) -> str:
        return collection(API, plural, self.namespace)


async def connect(plane: ControlPlane) -> KubeClient:
    configuration = Configuration()
    await config.load_kube_config(str(plane.kubeconfig(ADMIN)), client_configuration=configuration)
    return KubeClient(ApiClient(configuration))


def make_topics(feed: WrittenFeed) -> None:
    ticks, events = feed.topics
    # By Kafka's clock the page's lag is that behind Kafka, whatever a busy producer adds.
    settings = {"message.timestamp.type": "LogAppendTime"}
    new = [NewTopic(ticks, PARTITIONS, 1, config=settings), NewTopic(events, 1, 1)]
    admin = AdminClient({"bootstrap.servers": feed.kafka, "log_level": 2})  # it must outlive its answers
    for future in admin.create_topics(new).values():
        future.result(30)


@dataclass
class Market:
    """A thread that publishes ticks of a feed at a steady rate, some contracts more often than others."""

    feed: WrittenFeed
    per_second: float
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._producer = Producer({"bootstrap.servers": self.feed.kafka, "log_level": 2, "linger.ms": 5})
        self._dice = random.Random(1)
        self._prices = {conid: 40.0 + (conid * 37 % 900) / 10 for conid in range(1, self.feed.contracts + 1)}
        self._busy = [conid for conid in self._prices if conid % 10 < 4]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._producer.purge()  # its Kafka may have ended
        self._producer.flush(1)

    def _run(self) -> None:
        began, sent = time.monotonic(), 0
        while not self._stop.is_set():
            due = int((time.monotonic() - began) * self.per_second)
            for _ in range(due - sent):
                self.tick(self._dice.choice(self._busy if self._dice.random() < 0.8 else list(self._prices)))
            sent = max(sent, due)
            self._producer.poll(0)
            time.sleep(0.02)

    def tick(self, conid: int, price: float | None = None) -> None:
        """Publish a tick; its price is the next of a random walk unless it is given."""
        step = self._dice.choice((-0.02, -0.01, 0.01, 0.02))
        price = self._prices[conid] = round(price if price is not None else self._prices[conid] + step, 2)
        now = time.time_ns()
        numbers = f'"price":{price:.2f},"size":1,"open_interest":301442,"event_time":{now // 1_000_000}'
        quote = f'"bid":{price - 0.01:.2f},"bid_size":12,"ask":{price + 0.01:.2f},"ask_size":7,"volume":{now % 99999}'
        value = (
            f'{{"symbol":"{symbol_of(conid)}","conid":{conid},{numbers},"market_data_type":"RpB",{quote},'
            f'"received_ns":{now},"seq":{now // 1000},"flags":["price","size"]}}'
        )
        ticks, _ = self.feed.topics
        self._producer.produce(ticks, value=value, key=str(conid), partition=conid % PARTITIONS)

    def gap(self, conid: int, seconds: float, detail: str) -> None:
        """Publish a gap of a contract that ended just now."""
        now = time.time_ns() // 1_000_000
        worker = f"{self.feed.name}-{self.feed.worker_of(conid)}"
        event = {"kind": "gap", "feed": self.feed.name, "worker": worker, "at_ms": now, "conid": conid}
        event |= {"symbol": symbol_of(conid), "from_ms": now - int(seconds * 1000), "to_ms": now, "detail": detail}
        self._producer.produce(self.feed.topics[1], value=json.dumps(event), key=str(conid))
        self._producer.flush(10)


RUN = """
import sys
from pathlib import Path
from ibfeed_operator.console.main import main
main(port=int(sys.argv[1]), probes=int(sys.argv[2]), secret=Path(sys.argv[3]))
"""


class ConsoleProcess:
    """The console's process, with the rights of ``manifests/operator/console.yaml`` and no others."""

    def __init__(self, plane: ControlPlane) -> None:
        self.port, self.probes = free_port(), free_port()
        self.url = f"http://localhost:{self.port}"
        self._plane = plane
        self.log = plane.directory / "console.log"

    def __enter__(self) -> Self:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._plane.kubeconfig(CONSOLE)),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "api"), str(ROOT / "operator")]),
        }
        words = [sys.executable, "-c", RUN, str(self.port), str(self.probes), str(self._plane.directory / "no-secret")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd=self._plane.directory)
        eventually(self._serves, within=60, what="the console serves", every=0.2)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def _serves(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return "the console serves" in self.log.read_text()

    def cpu_s(self) -> float:
        """Return the processor time that the process has used, in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def token_of(plane: ControlPlane, user: str) -> str:
    lines = (plane.directory / "tokens.csv").read_text().splitlines()
    return next(line.split(",")[0] for line in lines if line.split(",")[1] == user)


@contextmanager
def chromium(folder: Path, *, width: int = 1600, height: int = 1000) -> Iterator[Chrome]:
    """Run a Chromium without a screen, and with a profile of its own."""
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"):
        options.add_argument(flag)
    for flag in (f"--window-size={width},{height}", f"--user-data-dir={folder}", "--enable-precise-memory-info"):
        options.add_argument(flag)
    driver = Chrome(options=options, service=Service("/usr/bin/chromedriver", log_output=subprocess.DEVNULL))
    try:
        yield driver
    finally:
        driver.quit()
