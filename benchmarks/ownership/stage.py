"""A feed of its own beside a venue of its own, in a namespace of its own, and everything gone at the end."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ibfeed_local.progress import Progress
from ibfeed_simulator import bootstrap
from ibfeed_simulator.certificates import issue
from ownership import setting
from ownership.evidence import Watch
from ownership.witness import Login, Witness
from support.cluster import ROOT, condition, eventually, is_ready, items, kubectl, owners, read
from support.stream import KAFKA
from support.venue import Venue

Mode = Literal["common", "phased"]

_SIMULATOR: Final = "ibfeed-simulator"
_APPLY: Final = ("apply", "--server-side", "--force-conflicts", "--field-manager=ibfeed-bench", "-f", "-")
_PATIENCE_S: Final = 240.0


@dataclass(frozen=True)
class Stage:
    """A feed that streams, and who watches it."""

    venue: Venue
    witnesses: Sequence[Witness]
    conids: tuple[int, ...]

    def watch(self) -> Watch:
        return Watch(self.venue, self.witnesses)

    def feed(self) -> dict[str, Any]:
        return read("ibfeed", setting.FEED, setting.NAMESPACE)

    def loads(self) -> dict[str, int]:
        """Worker -> contracts, by the feed's status."""
        return {shard["worker"]: shard["contracts"] for shard in self.feed()["status"]["shards"]}

    def settle(self, workers: int = setting.WORKERS, without: str = "") -> None:
        """Wait until all contracts are spread evenly over ``workers`` less the one ``without``, and nothing moves.

        Nor is a standby missing that the feed asks for.
        """
        eventually(
            lambda: self._settled(workers, without),
            within=_PATIENCE_S,
            what=f"{workers} workers with even loads",
            every=1,  # each look is a kubectl, and what is measured shares the cores with it
        )

    def _settled(self, workers: int, without: str) -> bool:
        feed = self.feed()
        loads = {shard["worker"]: shard["contracts"] for shard in feed["status"]["shards"]}
        idle = loads.pop(without, 0) if without else 0
        return (
            is_ready(feed)
            and condition(feed, "Rebalancing").get("status") == "False"
            and condition(feed, "StandbysReady").get("status") == "True"
            and len(loads) == workers - bool(without)
            and idle == 0
            and sum(loads.values()) == setting.CONTRACTS
            and max(loads.values()) - min(loads.values()) <= 1
        )


@contextmanager
def stage(mode: Mode, progress: Progress) -> Iterator[Stage]:
    """Set it all up, and take it all down whatever happens."""
    _clear()
    with ExitStack() as stack:
        stack.callback(_down, progress)
        with progress.step(f"venue in its {mode} mode") as step:
            address, authority, accounts = _venue(mode, stack)
            step.result = f"{setting.UPDATES_PER_S:g} updates/s of every contract"
        with progress.step("feed") as step:
            _topics()
            kubectl(*_APPLY, stdin=json.dumps(_feed()))
            eventually(
                lambda: _whole(read("ibfeed", setting.FEED, setting.NAMESPACE)), within=_PATIENCE_S, what="Ready"
            )
            conids = tuple(owners(read("ibfeed", setting.FEED, setting.NAMESPACE)))
            step.result = f"{len(conids)} contracts on {setting.WORKERS} workers"
        witnesses = [
            stack.enter_context(Witness(address, authority, login, conids[start : start + setting.LINES]))
            for login, start in zip(accounts, range(0, len(conids), setting.LINES), strict=False)
        ]
        found = Stage(Venue.in_cluster(setting.NAMESPACE), witnesses, conids)
        found.settle()
        yield found


def _whole(feed: dict[str, Any]) -> bool:
    return bool(feed) and is_ready(feed) and feed["status"].get("assignedCount") == setting.CONTRACTS


def _venue(mode: Mode, stack: ExitStack) -> tuple[str, Path, list[Login]]:
    """Start it; its address, its CA's file, the witness's accounts."""
    kubectl("create", "namespace", setting.NAMESPACE)
    objects = list(yaml.safe_load_all((ROOT / "manifests" / "simulator" / "venue.yaml").read_text()))
    for found in objects:
        found["metadata"]["namespace"] = setting.NAMESPACE
    service = next(found for found in objects if found["kind"] == "Service")
    kubectl(*_APPLY, stdin=json.dumps(service))
    address = read("service", service["metadata"]["name"], setting.NAMESPACE)["spec"]["clusterIP"]

    tls = issue([setting.VENUE_HOST, address])
    accounts = bootstrap.make(setting.ACCOUNTS + setting.WITNESSES).accounts
    for found in bootstrap.objects(bootstrap.Material(tls, accounts), setting.NAMESPACE):
        metadata: dict[str, Any] = found["metadata"]  # type: ignore[assignment]
        metadata["namespace"] = setting.NAMESPACE
        kubectl(*_APPLY, stdin=json.dumps(found))

    deployment = next(found for found in objects if found["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["image"] = _image()
    container["args"] += [f"--mode={mode}", f"--interval={1 / setting.UPDATES_PER_S}", "--slower=1", "--no-replay"]
    kubectl(*_APPLY, stdin=json.dumps(deployment))
    kubectl("rollout", "status", "deployment/venue", "-n", setting.NAMESPACE, "--timeout=100s")

    authority = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "ca.crt"
    authority.write_text(tls.authority)
    return address, authority, [Login(a.username, a.password) for a in accounts[setting.ACCOUNTS :]]


def _image() -> str:
    """What `make deploy` has put there."""
    deployed = read("deployment", "venue", _SIMULATOR)
    image: str = deployed["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def _feed() -> dict[str, Any]:
    topics = {
        "ticklast": {"name": setting.TICKS, "partitions": setting.PARTITIONS},
        "l2Data": {"name": setting.DEPTH, "partitions": setting.PARTITIONS},
        "feedEvents": {"name": setting.EVENTS, "partitions": 1},
    }
    return {
        "apiVersion": "ibfeed.dev/v1alpha1",
        "kind": "IbFeed",
        "metadata": {"name": setting.FEED, "namespace": setting.NAMESPACE},
        "spec": {
            "roots": [{"symbol": root} for root in setting.ROOTS],
            "frontMonths": setting.MONTHS,
            "workers": setting.WORKERS,
            "accounts": {
                "secretRef": {"name": "ib-paper-accounts"},
                "first": 1,
                "count": setting.ACCOUNTS,
                "linesPerAccount": setting.LINES,
            },
            "kafka": {"bootstrapServers": KAFKA, "topics": topics},
            "gateway": {"upstream": f"https://{setting.VENUE_HOST}"},
            "extraCA": {"name": "ib-venue-ca"},
        },
    }


def _topics() -> None:
    """Records carry the time at which the broker appended them: that is when they are on Kafka."""
    stamped = {"message.timestamp.type": "LogAppendTime"}
    wanted = [
        NewTopic(setting.TICKS, setting.PARTITIONS, 1, config=stamped),
        NewTopic(setting.DEPTH, setting.PARTITIONS, 1, config=stamped),
        NewTopic(setting.EVENTS, 1, 1, config=stamped),
    ]
    admin = _admin()  # held by a name: one that is collected fails what it was asked
    for made in admin.create_topics(wanted).values():
        made.result(timeout=30)


def _down(progress: Progress) -> None:
    with progress.step("taking it down"):
        kubectl("delete", "ibfeeds", "--all", "-n", setting.NAMESPACE, "--wait=false")
        eventually(lambda: not items("pods", setting.NAMESPACE, "ibfeed.dev/feed"), within=90, what="the workers end")
        _clear()


def _clear() -> None:
    """Nothing of this run, nor of one that was cut short."""
    kubectl("delete", "namespace", setting.NAMESPACE, "--ignore-not-found", "--timeout=100s")
    admin = _admin()
    mine = {setting.TICKS, setting.DEPTH, setting.EVENTS}
    if left := sorted(mine & set(admin.list_topics(timeout=10).topics)):
        for deleted in admin.delete_topics(left).values():
            deleted.result(timeout=30)
        deadline = time.monotonic() + 30
        while mine & set(admin.list_topics(timeout=10).topics) and time.monotonic() < deadline:
            time.sleep(0.2)


def _admin() -> AdminClient:
    return AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
