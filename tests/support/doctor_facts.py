"""Facts of a healthy feed, as the API server and Kafka tell them, and the faults that tests put into them."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
from typing import Any

from ibfeed.doctor.facts import (
    ApiServer,
    BrokerFacts,
    Definition,
    FeedFacts,
    InstallationFacts,
    KafkaFacts,
    RecordFacts,
    RegistryFacts,
    Right,
    TopicFacts,
    WatchedLease,
)
from ibfeed.doctor.release import KINDS, fields_of_release
from ibfeed.doctor.seen import (
    SeenDeployment,
    SeenEvent,
    SeenFeed,
    SeenLease,
    SeenPod,
    SeenQuota,
    SeenShard,
    SeenSink,
    see,
)

NOW = dt.datetime(2026, 11, 25, 15, 0, tzinfo=dt.UTC)  # a Wednesday, in no maintenance
NOW_MS = int(NOW.timestamp() * 1000)
WORKERS = ("energy-0", "energy-1")

FEED: dict[str, Any] = {
    "metadata": {"name": "energy", "namespace": "markets", "generation": 3},
    "spec": {
        "roots": [{"symbol": "CL"}],
        "workers": 2,
        "accounts": {"secretRef": {"name": "ib-paper-accounts"}, "first": 1, "count": 3, "region": "America"},
        "kafka": {
            "bootstrapServers": "kafka:9092",
            "topics": {
                "ticklast": {"name": "ticklast", "partitions": 12, "replicationFactor": 3},
                "l2Data": {"name": "l2-data", "partitions": 12, "replicationFactor": 3},
                "feedEvents": {"name": "feed-events", "partitions": 1, "replicationFactor": 3},
                "contracts": {"name": "contracts", "partitions": 1, "replicationFactor": 3},
            },
        },
    },
    "status": {
        "observedGeneration": 3,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Streaming", "message": "streaming"}],
    },
}


def feed(**changes: Any) -> SeenFeed:
    """The feed with other values: ``spec__workers=3``."""
    raw = copy.deepcopy(FEED)
    for path, value in changes.items():
        *folders, last = path.split("__")
        place = raw
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return see(raw, SeenFeed)


def shard(name: str = "energy-0", *, account: int | None = 1, **status: Any) -> SeenShard:
    number = int(name.rpartition("-")[2])
    told = {"session": "Streaming", "marketDataLive": True, "kafka": {"reachable": True}, **status}
    spec: dict[str, Any] = {"feed": "energy", "worker": number}
    if account is not None:
        spec["account"] = {"index": account, "lease": f"ib-account-ib-paper-accounts-{account}", "source": "x"}
    return see({"metadata": {"name": name, "namespace": "markets"}, "spec": spec, "status": told}, SeenShard)


def pod(name: str = "energy-0", *, waiting: str = "", message: str = "", **status: Any) -> SeenPod:
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {"startedAt": "x"}}
    told = {"phase": "Running", "containerStatuses": [{"name": "worker", "ready": not waiting, "state": state}]}
    return see({"metadata": {"name": name}, "status": {**told, **status}}, SeenPod)


def event(kind: str, name: str, reason: str, message: str) -> SeenEvent:
    about = {"kind": kind, "name": name}
    told = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": NOW.isoformat()}
    return see({"metadata": {"name": "x"}, "involvedObject": about, **told}, SeenEvent)


def lease(
    name: str, holder: str = "", *, skew_s: float = 0.0, renewed: bool = True, **annotations: str
) -> WatchedLease:
    """A Lease. ``skew_s``: how far its holder's clock is ahead."""
    marks = {f"ibfeed.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}

    def at(moment: dt.datetime) -> SeenLease:
        stamp = (moment + dt.timedelta(seconds=skew_s)).isoformat()
        spec = {"holderIdentity": f"{holder}_u-1", "renewTime": stamp} if holder else {}
        return see({"metadata": {"name": name, "annotations": marks}, "spec": spec}, SeenLease)

    after = at(NOW - dt.timedelta(seconds=0.5))
    return WatchedLease(after, at(NOW - dt.timedelta(seconds=3.5)) if renewed else after, NOW)


def account(index: int, holder: str = "", **more: Any) -> WatchedLease:
    return lease(f"ib-account-ib-paper-accounts-{index}", holder, **{"user": f"digest-{index}", **more})


ACCOUNTS = (account(1, "energy-0"), account(2, "energy-1"), account(3), lease("ib-account-ib-paper-accounts-logins"))
KEYS = frozenset(f"{word}-{index}" for index in (1, 2, 3) for word in ("username", "password"))
TOPIC = TopicFacts(12, 3, 3, 2, compacted=False)
ONE = TopicFacts(1, 3, 3, 2, compacted=True)
TOPICS = {"ticklast": TOPIC, "l2-data": TOPIC, "feed-events": ONE, "contracts": ONE}
BROKERS = tuple(BrokerFacts(f"kafka-{number}:9092") for number in range(3))
KAFKA = KafkaFacts(brokers=BROKERS, topics=TOPICS, records=(RecordFacts(NOW_MS - 400, NOW_MS - 100, NOW_MS),))


def deployment(available: int = 1, replicas: int = 1) -> SeenDeployment:
    raw = {"metadata": {"name": "ibfeed-operator"}, "spec": {"replicas": replicas}}
    return see({**raw, "status": {"availableReplicas": available}}, SeenDeployment)


def sink(**conditions: str) -> SeenSink:
    """A sink with these conditions False, each with its message."""
    told = [
        {"type": kind, "status": "False", "reason": "DestinationFailing", "message": text}
        for kind, text in conditions.items()
    ] or [{"type": "Ready", "status": "True"}]
    raw = {"metadata": {"name": "latest"}, "spec": {"feedRef": {"name": "energy"}}, "status": {"conditions": told}}
    return see(raw, SeenSink)


def quota(**used: str) -> SeenQuota:
    return see(
        {"metadata": {"name": "markets"}, "status": {"hard": {"pods": "10"}, "used": {"pods": "4", **used}}}, SeenQuota
    )


def right(*, allowed: bool = True, verb: str = "patch", resource: str = "ibshards") -> Right:
    return Right(verb, "ibfeed.dev", resource, namespace="markets", allowed=allowed)


INSTALLATION = InstallationFacts(
    now=NOW,
    server=ApiServer("v1.34.4", 0.3),
    definitions={plural: Definition(("v1alpha1",), fields_of_release(plural)) for plural in KINDS},
    my_rights=(right(),),
    operator_rights=(right(),),
    deployment=deployment(),
    operator_pods=(pod("ibfeed-operator-a"),),
    leader=lease("ibfeed-operator", "ibfeed-operator-a"),
    feed_names=("energy",),
)
HEALTHY = FeedFacts(
    now=NOW,
    feed=feed(),
    shards=(shard("energy-0", account=1), shard("energy-1", account=2)),
    pods=tuple(map(pod, WORKERS)),
    events=(),
    quotas=(quota(),),
    accounts=ACCOUNTS,
    secrets={"ib-paper-accounts": KEYS},
    worker_rights=(right(),),
    kafka=KAFKA,
    registry=None,
    sinks=(sink(),),
)
AVRO = feed(spec__kafka__format="Avro", spec__kafka__schemaRegistry={"url": "http://registry:8081"})


def with_kafka(**changes: Any) -> dict[str, Any]:
    return {"kafka": dataclasses.replace(KAFKA, **changes)}


def with_topic(name: str, found: TopicFacts | None) -> dict[str, Any]:
    return with_kafka(topics={**TOPICS, name: found})


def with_shard(account: int | None = 1, **status: Any) -> dict[str, Any]:
    return {"shards": (shard("energy-0", account=account, **status), shard("energy-1", account=2))}


def with_account(**more: Any) -> dict[str, Any]:
    return {"accounts": (account(1, "energy-0", **more), *ACCOUNTS[1:])}


def with_pod(**more: Any) -> dict[str, Any]:
    return {"pods": (pod(**more), pod("energy-1"))}


def with_registry(**more: str) -> dict[str, Any]:
    """A registry as it is seen while no worker publishes yet."""
    starting = tuple(shard(name, account=index, kafka={}) for index, name in enumerate(WORKERS, 1))
    return {"feed": AVRO, "registry": RegistryFacts(**more), "shards": starting}
