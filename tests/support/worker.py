"""Worker processes on this host: real browser, real Kafka, real API server; the venue and the gateway are simulated."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from ibfeed_api.calls import Signer, universe_path
from ibfeed_api.feed import Accounts, Gateway, Kafka, Login, SecretRef, Topic, Topics, WorkerSpec
from support import quick_forms
from support.cluster import KUBECONFIG, ROOT, eventually, kubectl, read
from support.ports import free_port
from support.simulator import Venue, environment
from support.stream import KAFKA

SOURCE = "paper"


class Stage:
    """A namespace for workers, with the venue's accounts in a Secret."""

    def __init__(self, venue: Venue, gateway: Path, folder: Path) -> None:
        self.venue = venue
        self.gateway = gateway
        self.folder = folder
        self.namespace = f"worker-{uuid.uuid4().hex[:8]}"
        self.signer = Signer()
        self.topics = Topics(
            ticklast=Topic(name=f"ticks-{self.namespace}", partitions=4),
            l2_data=Topic(name=f"depth-{self.namespace}", partitions=1),
            feed_events=Topic(name=f"events-{self.namespace}", partitions=1),
        )

    def __enter__(self) -> Self:
        kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        kubectl("create", "namespace", self.namespace)
        self.secret(self.venue.credentials)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        kubectl("delete", "namespace", self.namespace, "--wait=false")
        topics = [self.topics.ticklast.name, self.topics.l2_data.name, self.topics.feed_events.name]
        admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})  # kept: a collected one gives no answer
        for deleted in admin.delete_topics(topics).values():
            error = deleted.exception(60)
            # There is none if the test's worker never got so far.
            assert error is None or error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART, error

    def secret(self, values: dict[str, str]) -> None:
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SOURCE, "namespace": self.namespace},
                "stringData": values,
            }
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        kubectl("apply", "-f", "-", stdin=json.dumps(listed))

    def lease_name(self, index: int | str) -> str:
        return f"ib-account-{SOURCE}-{index}"

    def lease(self, index: int | str = 1) -> dict[str, Any]:
        return read("lease", self.lease_name(index), self.namespace)

    def add_turns(self) -> None:
        """Add the Lease in which the workers take turns to log in."""
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        self.apply({**kind, "metadata": {"name": self.lease_name("logins"), "namespace": self.namespace}, "spec": {}})

    def add_lease(self, index: int) -> None:
        if not self.lease(index):
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            self.apply({**kind, "metadata": {"name": self.lease_name(index), "namespace": self.namespace}, "spec": {}})

    @contextmanager
    def worker(
        self, index: int = 1, *, number: int = 0, accounts: dict[str, Any] | None = None, **settings: Any
    ) -> Iterator[Worker]:
        """Return a worker with account ``index``. In the end it is told to stop, or killed."""
        worker = Worker(self, f"energy-{number}", index, accounts or {}, settings)
        worker.give(index)
        worker.start()
        try:
            yield worker
        finally:
            worker.end()


class Worker:
    def __init__(self, stage: Stage, name: str, index: int, accounts: dict[str, Any], settings: dict[str, Any]) -> None:
        self.stage = stage
        self.name = name
        self.uid = str(uuid.uuid4())
        self.gateway_port, self.http_port = free_port(), free_port()
        self.log = stage.folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", trust_env=False, timeout=30)
        self._spec = WorkerSpec(
            accounts=Accounts(secret_ref=SecretRef(name=SOURCE), count=4, **accounts),
            kafka=settings.pop("kafka", None) or Kafka(bootstrap_servers=KAFKA, topics=stage.topics),
            gateway=Gateway(
                upstream=settings.pop("upstream", stage.venue.upstream),
                login=settings.pop("login", None) or Login(timeout_seconds=30),
            ),
        )

    # The operator's part.

    def give(
        self, index: int | None, contracts: list[dict[str, Any]] | None = None, *, used_by: str | None = None
    ) -> None:
        """Write the IbShard's spec. ``used_by`` is a worker that uses the account's user."""
        spec: dict[str, Any] = {
            "feed": "energy",
            "worker": int(self.name.rpartition("-")[2]),
            "lines": 100,
            "contracts": contracts or [],
            "operatorKey": self.stage.signer.public_key,
        }
        if index is not None:
            self.stage.add_lease(index)
            spec["account"] = {"source": SOURCE, "index": index, "lease": self.stage.lease_name(index)}
            spec["account"] |= {"usedBy": used_by} if used_by else {}
        kind = {"apiVersion": "ibfeed.dev/v1alpha1", "kind": "IbShard"}
        self.stage.apply({**kind, "metadata": {"name": self.name, "namespace": self.stage.namespace}, "spec": spec})

    def patch(self, spec: dict[str, Any]) -> None:
        """Change fields of the IbShard's spec."""
        merge = json.dumps({"spec": spec})
        kubectl("patch", "ibs", self.name, "-n", self.stage.namespace, "--type=merge", "-p", merge)

    def resolve(self, root: str, months: int = 2) -> httpx.Response:
        path = universe_path(root)
        token = self.stage.signer.token(shard=f"{self.stage.namespace}/{self.name}", path=path)
        question = f"{path}?months={months}&since={datetime.now(UTC):%Y%m%d}"
        return self._http.get(question, headers={"Authorization": f"Bearer {token}"})

    # The process.

    @property
    def run_folder(self) -> Path:
        return Path(tempfile.gettempdir()) / f"ibfeed-{self.uid[:8]}"

    def start(self) -> None:
        own = {
            "KUBECONFIG": str(self._settings.get("kubeconfig", KUBECONFIG)),
            "POD_NAME": self.name,
            "POD_NAMESPACE": self.stage.namespace,
            "POD_UID": self.uid,
            "NODE_NAME": "here",
            "IBFEED_FEED": "energy",
            "IBFEED_SPEC": msgspec.json.encode(self._spec).decode(),
            "IBFEED_EXTRA_CA": str(self.stage.venue.ca),
            "IBFEED_GATEWAY_DIR": str(self._settings.get("gateway_folder", self.stage.gateway)),
            "IBFEED_GATEWAY_PORT": str(self.gateway_port),
            "IBFEED_HTTP_PORT": str(self.http_port),
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._settings.get("program", (quick_forms.__file__,))],
                env={**environment(), **own, **self._settings.get("environment", {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> float:
        """Send SIGTERM; return the seconds until it ended with status 0."""
        begun = time.monotonic()
        self.tell_to_stop()
        self.wait()
        return time.monotonic() - begun

    def tell_to_stop(self) -> None:
        assert self._process is not None
        self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended with status 0."""
        assert self._process is not None
        assert self._process.wait(45) == 0, self.log.read_text()[-4000:]

    def kill(self) -> None:
        """Kill the process and all below it, as when a container dies."""
        assert self._process is not None
        for pid in [self.pid, *below(self.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)

    def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(30)
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.run_folder, ignore_errors=True)  # a killed worker leaves it, as its container would
        self._http.close()

    # Its log and its status.

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = read("ibshard", self.name, self.stage.namespace).get("status", {})
        return found

    def events(self) -> list[dict[str, Any]]:
        """Return its log. Every line must be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def until(self, session: str, within: float = 30, reason: str | None = None) -> dict[str, Any]:
        """Wait for a state of the session in the IbShard's status; return the status."""

        def there() -> dict[str, Any] | None:
            status = self.status()
            wanted = status.get("session") == session and reason in (None, status.get("reason"))
            return status if wanted else None

        try:
            found = eventually(there, within=within, what=f"{self.name} {session}")
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.status()}\n{self.log.read_text()[-6000:]}") from None
        assert found is not None
        return found

    def probe(self, path: str) -> int:
        return self._http.get(path).status_code

    def metrics(self) -> str:
        return self._http.get("/metrics").text


def entry(contract: dict[str, Any], *, slot: int, epoch: int = 1, state: str = "Active") -> dict[str, Any]:
    """Return an IbShard's entry for a contract as the worker resolved it."""
    names = ("conid", "symbol", "root", "exchange", "contractMonth", "lastTradingDay")
    return {**{name: contract[name] for name in names}, "slot": slot, "epoch": epoch, "state": state}


def below(pid: int) -> list[int]:
    """Return all descendants of a process."""
    found, queue = list[int](), [pid]
    while queue:
        done = subprocess.run(["pgrep", "-P", str(queue.pop())], capture_output=True, text=True, check=False)
        children = [int(word) for word in done.stdout.split()]
        found += children
        queue += children
    return found
