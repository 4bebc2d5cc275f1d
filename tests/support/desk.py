"""The objects of a feed as its operator and workers write them, for tests of the command line, and a server of them.

Status, shards and Leases are made by the operator's own code, so that the client reads what there really is.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ibfeed_api.feed import FeedSpec
from ibfeed_api.shard import (
    Account,
    ContractState,
    Entry,
    KafkaStatus,
    Report,
    Session,
    ShardSpec,
    ShardStatus,
)
from ibfeed_operator import resources
from ibfeed_operator.model.types import (
    Contract,
    Feed,
    Health,
    Shard,
    StatusInput,
    Unassigned,
    UnassignedReason,
    Universe,
    Worker,
    WorkerHealth,
)
from ibfeed_operator.status.feed import manifest, status_of
from support import build

NOW = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp()) - 600
SYMBOLS = ("CLZ6", "CLF7", "CLG7", "CLH7")
CONTRACTS = tuple(
    Contract(conid=100 + i, root="CL", symbol=one, exchange="NYMEX", last_trading_day="20261220", slot=i + 11)
    for i, one in enumerate(SYMBOLS)
)
SPEC: dict[str, Any] = {
    "roots": [{"symbol": "CL"}],
    "frontMonths": 4,
    "workers": 2,
    "accounts": {"secretRef": {"name": "paper"}, "count": 3},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
API = "/apis/ibfeed.dev/v1alpha1/namespaces/markets"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/markets/leases"


def entry(contract: Contract, **facts: Any) -> Entry:
    return build.entry(contract.conid, symbol=contract.symbol, slot=contract.slot, **({"epoch": EPOCH} | facts))


def worker(index: int, *contracts: Contract, said: Mapping[int, Report] | None = None, **status: Any) -> Worker:
    """A worker that publishes ``contracts``, unless ``said`` or ``status`` says otherwise."""
    reports = {
        one.conid: Report(
            conid=one.conid,
            epoch=EPOCH,
            state=ContractState.PUBLISHING,
            last_tick_time="2026-11-27T07:59:58.500000Z",
        )
        for one in contracts
    }
    told: dict[str, Any] = {
        "session": Session.STREAMING,
        "market_data_live": True,
        "kafka": KafkaStatus(reachable=True),
        "last_tick_time": "2026-11-27T07:59:58.500000Z",
        "contracts": tuple((reports | dict(said or {})).values()),
    }
    account = Account(source="paper", index=index + 1, lease=f"ib-account-paper-{index + 1}")
    entries = tuple(map(entry, contracts))
    return Worker(
        index=index,
        health=WorkerHealth(state=Health.STREAMING),
        shard=Shard(
            name=f"energy-{index}",
            worker=index,
            uid="s",
            resource_version="1",
            spec=ShardSpec(feed="energy", worker=index, account=account, contracts=entries),
            status=ShardStatus(**(told | status)),
        ),
        pod=build.pod(index),
    )


@dataclass
class Desk:
    """A namespace with one feed. ``objects``: by path, as the API server has them; ``patches``: what was written."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    patches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    replaced: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # kinds in the plural that the user may not read
    conflicts: int = 0  # so many of the next patches come too late

    def feed(
        self,
        *workers: Worker,
        unassigned: Mapping[Contract, UnassignedReason] | None = None,
        annotations: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> None:
        """Put a feed with its shards there."""
        plain = SPEC | spec
        known = Feed(namespace="markets", name="energy", uid="u", generation=7, spec=msgspec.convert(plain, FeedSpec))
        given = StatusInput(
            feed=known,
            universe=Universe(contracts=CONTRACTS, resolved=True),
            image="ibfeed/worker",
            workers=workers,
            unassigned=tuple(
                Unassigned(conid=one.conid, symbol=one.symbol, reason=why) for one, why in (unassigned or {}).items()
            ),
        )
        metadata = {"name": "energy", "namespace": "markets", "resourceVersion": "5"}
        self.objects[f"{API}/ibfeeds/energy"] = {
            "metadata": {**metadata, "annotations": dict(annotations or {})},
            "spec": plain,
            "status": manifest(status_of(given, now=NOW)),
        }
        for one in workers:
            assert one.shard is not None
            status = msgspec.json.decode(msgspec.json.encode(one.shard.status))
            self.objects[f"{API}/ibshards/{one.shard.name}"] = {
                **resources.shard(known, one.shard.spec),
                "status": status,
            }

    def lease(self, name: str, holder: str = "", **annotations: str) -> None:
        """Put a Lease of the source there. Names of annotations have underscores for hyphens."""
        notes = {f"ibfeed.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        metadata = {"name": name, "labels": {"ibfeed.dev/account-source": "paper"}, "annotations": notes}
        self.objects[f"{LEASES}/{name}"] = {"metadata": metadata, "spec": {"holderIdentity": holder}}

    def get(self, path: str) -> dict[str, Any] | None:
        """Return an object, or the list of a kind; None: there is none of that name."""
        if path in self.objects:
            return self.objects[path]
        kind = path.rpartition("/")[2]
        if not kind.startswith(("ib", "leases", "events")) or kind.startswith("ib-"):
            return None
        return {"items": [one for key, one in self.objects.items() if key.rpartition("/")[0] == path]}


@contextlib.contextmanager
def served(desk: Desk, kubeconfig: Path) -> Iterator[None]:
    """Serve the objects of a desk, and write the kubeconfig that leads there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(desk))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    config = {
        "current-context": "desk",
        "contexts": [{"name": "desk", "context": {"cluster": "here", "user": "me", "namespace": "markets"}}],
        "clusters": [{"name": "here", "cluster": {"server": at}}],
        "users": [{"name": "me", "user": {}}],
    }
    kubeconfig.write_text(json.dumps(config))
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(desk: Desk) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if self.path.partition("?")[0].endswith("/log") else "json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _refuse(self, code: int, message: str) -> None:
            self._answer(code, json.dumps({"message": message}).encode())

        def do_GET(self) -> None:
            where = urlsplit(self.path)
            if where.path.endswith("/log"):
                text = desk.logs.get(where.path.split("/")[-2])
                last = int(parse_qs(where.query)["tailLines"][0])
                if text is None:
                    self._refuse(404, "no such pod")
                else:
                    self._answer(200, "\n".join(text.splitlines()[-last:]).encode())
            elif where.path.rpartition("/")[2] in desk.refused:
                self._refuse(403, "you may not read it")
            elif (found := desk.get(where.path)) is None:
                self._refuse(404, f"{where.path} not found")
            else:
                self._answer(200, json.dumps(found).encode())

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if desk.conflicts:
                desk.conflicts -= 1
                self._refuse(409, "Operation cannot be fulfilled: the object has been modified; try again")
                return
            desk.patches.append((self.path, body))
            self._answer(200, b"{}")

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            desk.replaced.append((self.path, json.loads(body)))
            self._answer(200, body)

        def do_DELETE(self) -> None:
            desk.deleted.append(self.path)
            self._answer(200, b"{}")

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    return Handler
