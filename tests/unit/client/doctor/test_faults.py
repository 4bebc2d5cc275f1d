"""The doctor names each injected fault, with a command, and names none on a healthy feed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from ibfeed.doctor.diagnosis import CATALOGUE, Diagnosis, diagnose
from ibfeed.doctor.facts import ApiServer, BrokerFacts, Definition, KafkaFacts, RecordFacts, RegistryFacts, Unknown
from ibfeed.doctor.findings import Severity
from ibfeed.doctor.release import fields_of_release
from support.doctor_facts import (
    AVRO,
    HEALTHY,
    INSTALLATION,
    KEYS,
    NOW_MS,
    ONE,
    TOPIC,
    account,
    deployment,
    event,
    feed,
    lease,
    pod,
    quota,
    right,
    sink,
    with_account,
    with_kafka,
    with_pod,
    with_registry,
    with_shard,
    with_topic,
)

QUOTA = 'create Pod energy-1 in StatefulSet energy failed error: pods "energy-1" is forbidden: exceeded quota: small'
WEBHOOK = 'create Pod energy-1 in StatefulSet energy failed error: admission webhook "x" denied the request'
NO_NODE = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
PENALTY = json.dumps({"10.0.0.7": "2026-11-25T15:10:00+00:00"})
TROUBLE = json.dumps([{"reason": "LoginTimeout", "text": "busy", "since": "x", "accounts": {"1": "x", "2": "x"}}])
DEFINITIONS = dict(INSTALLATION.definitions)  # type: ignore[arg-type]
SECRET = {"secretRef": {"name": "kafka-user"}, "securityProtocol": "SASL_SSL", "saslMechanism": "SCRAM-SHA-512"}


def of_kind(plural: str, definition: Definition | None) -> dict[str, Any]:
    return {"definitions": {**DEFINITIONS, plural: definition}}


# The twenty faults of the bar, and more of the same kind: changed facts, of the feed or of the installation.
OF_INSTALLATION: dict[str, dict[str, Any]] = {
    "api-unreachable": {"server": Unknown("the API server gives no answer")},
    "api-old": {"server": ApiServer("v1.26.3")},
    "clock-here": {"server": ApiServer("v1.34.4", -42.0)},
    "crd-missing": of_kind("ibsinks", None),
    "crd-version": of_kind("ibfeeds", Definition(("v1",), frozenset())),
    "crd-old": of_kind("ibfeeds", Definition(("v1alpha1",), fields_of_release("ibfeeds") - {"spec.standby"})),
    "crd-new": of_kind("ibfeeds", Definition(("v1alpha1",), fields_of_release("ibfeeds") | {"spec.newer"})),
    "right-missing-own": {"my_rights": (right(allowed=False),)},
    "right-missing-operator": {"operator_rights": (right(), right(allowed=False))},
    "operator-missing": {"deployment": None},
    "operator-down": {"deployment": deployment(available=0), "operator_pods": (pod("o", waiting="ImagePullBackOff"),)},
    "operator-partly": {"deployment": deployment(available=1, replicas=2)},
    "operator-no-leader": {"leader": lease("ibfeed-operator", "ibfeed-operator-a", renewed=False)},
    "no-feed": {"feed_names": ()},
}
OF_FEED: dict[str, dict[str, Any]] = {
    "right-missing-worker": {"worker_rights": (right(allowed=False),)},
    "kafka-unreachable": {"kafka": KafkaFacts(trouble="refused"), "shards": ()},
    "kafka-refused": with_kafka(refused="SASL authentication failed"),
    "kafka-workers": with_shard(kafka={"reachable": False, "reason": "BootstrapUnreachable", "message": "refused"}),
    "kafka-advertised": with_kafka(brokers=(BrokerFacts("nowhere:9092", resolves=False, trouble="Name not known"),)),
    "topic-missing": with_topic("l2-data", None),
    "topic-partitions": with_topic("ticklast", dataclasses.replace(TOPIC, partitions=6)),
    "topic-replication": with_topic("ticklast", dataclasses.replace(TOPIC, replicas=2, in_sync=2, min_in_sync=1)),
    "topic-in-sync": with_topic("ticklast", dataclasses.replace(TOPIC, in_sync=1)),
    "topic-no-spare": with_topic("ticklast", dataclasses.replace(TOPIC, min_in_sync=3)),
    "topic-not-compacted": with_topic("contracts", dataclasses.replace(ONE, compacted=False)),
    "contracts-not-written": with_shard(reference="topic contracts: not authorized"),
    "registry-unreachable": with_registry(trouble="refused"),
    "registry-refused": with_registry(refused="it answers with HTTP 401"),
    "secret-missing": {"secrets": {"ib-paper-accounts": None}},
    "secret-key-missing": {"secrets": {"ib-paper-accounts": KEYS - {"password-1"}}},
    "account-parked": with_account(parked="WrongCredentials", last_failure="Invalid username or password"),
    "account-failed-logins": with_account(failed_logins="2", last_failure="Invalid"),
    "account-same-user": {"accounts": (account(1, "energy-0", user="same"), account(2, "energy-1", user="same"))},
    "account-none-left": with_shard(None, session="WaitingForAccount"),
    "account-penalty": {"accounts": (lease("x-logins", penalties=PENALTY),)},
    "login-page-trouble": {"accounts": (lease("x-logins", page_trouble=TROUBLE),)},
    "vault-unreachable": with_shard(session="BackingOff", reason="VaultDenied", message="403"),
    "credentials-missing": with_shard(session="BackingOff", reason="CredentialsMissing", message="no password-1"),
    "image-not-pullable": with_pod(waiting="ImagePullBackOff", message="not found"),
    "pod-unschedulable": with_pod(**NO_NODE, containerStatuses=[]),
    "pod-crashing": with_pod(waiting="CrashLoopBackOff", message="back-off"),
    "pod-configuration": with_pod(waiting="CreateContainerConfigError", message='secret "x" not found'),
    "quota-exceeded": {"pods": (pod(),), "events": (event("StatefulSet", "energy", "FailedCreate", QUOTA),)},
    "pod-refused": {"pods": (pod(),), "events": (event("StatefulSet", "energy", "FailedCreate", WEBHOOK),)},
    "quota-full": {"quotas": (quota(pods="10"),)},
    "gateway-broken": with_shard(session="BackingOff", reason="GatewayBroken", message="the archive has no bin/run.sh"),
    "ib-unreachable": with_shard(session="BackingOff", reason="UpstreamUnreachable", message="no route"),
    "session-competing": with_shard(session="BackingOff", reason="Competing", message="somebody else"),
    "session-down": with_shard(session="Parked", reason="SecondFactorAsked", message="a code is asked for"),
    "market-data-not-live": with_shard(marketDataLive=False),
    "ib-maintenance": {"now": dt.datetime(2026, 11, 28, 5, 0, tzinfo=dt.UTC)},  # Friday night in New York
    "clock-worker": {"accounts": (account(1, "energy-0", skew_s=-30.0),)},
    "clock-ib": with_kafka(records=(RecordFacts(NOW_MS, NOW_MS - 9_000, None),)),
    "clock-kafka": with_kafka(records=(RecordFacts(NOW_MS - 400, NOW_MS, NOW_MS + 20_000),)),
    "sink-failing": {"sinks": (sink(Writing="redis refuses connections"),)},
    "sink-down": {"sinks": (sink(Available="its pod is refused"),)},
    "sink-late": {"sinks": (sink(CaughtUp="1,000 records wait"),)},
    "feed-unobserved": {"feed": feed(metadata__generation=4)},
    "feed-not-ready": {
        "feed": feed(status__conditions=[{"type": "Ready", "status": "False", "reason": "X", "message": "x"}])
    },
    "feed-suspended": {"feed": feed(spec__suspend=True)},
}


def examined(of_feed: dict[str, Any], of_installation: dict[str, Any] | None = None) -> Diagnosis:
    facts = dataclasses.replace(HEALTHY, **of_feed)
    return diagnose(dataclasses.replace(INSTALLATION, **(of_installation or {})), [facts])


def test_healthy_feed_has_no_finding() -> None:
    diagnosis = examined({})
    assert (diagnosis.findings, diagnosis.exit_code) == ([], 0)
    assert all(not section.unknown for section in diagnosis.sections)


def test_each_kind_of_finding_is_injected() -> None:
    assert sorted({**OF_INSTALLATION, **OF_FEED}) == sorted(fault.code for _, fault in CATALOGUE)


@pytest.mark.parametrize("code", [*OF_INSTALLATION, *OF_FEED])
def test_injected_fault_is_found_alone_with_what_mends_it(code: str) -> None:
    diagnosis = examined(OF_FEED.get(code, {}), OF_INSTALLATION.get(code, {}))
    assert [finding.code for finding in diagnosis.findings] == [code]
    (finding,) = diagnosis.findings
    assert finding.what
    assert finding.cause
    assert "'" not in finding.mend or finding.mend.count("'") == 2
    assert len(finding.mend) > 10
    severity = next(fault.severity for _, fault in CATALOGUE if fault.code == code)
    assert diagnosis.exit_code == {Severity.ERROR: 4, Severity.WARNING: 3, Severity.NOTE: 0}[finding.severity]
    assert severity is finding.severity or code == "kafka-advertised"


def test_unknown_is_not_fine() -> None:
    diagnosis = examined({"secrets": Unknown("you may not read Secrets"), "accounts": Unknown("no right")})
    assert diagnosis.findings == []
    assert diagnosis.exit_code == 3
    unknown = [text for section in diagnosis.sections for text in section.unknown]
    assert "secrets: you may not read Secrets" in unknown


def test_kafka_seen_by_workers_only_is_unknown_here() -> None:
    diagnosis = examined({"kafka": KafkaFacts(trouble="no route")})
    assert diagnosis.findings == []
    assert any("cannot be reached from here (no route)" in text for one in diagnosis.sections for text in one.unknown)


def test_key_of_an_account_in_reserve_is_a_warning() -> None:
    (finding,) = examined({"secrets": {"ib-paper-accounts": KEYS - {"password-3"}}}).findings
    assert (finding.code, finding.severity) == ("secret-key-missing", Severity.WARNING)


def test_keys_of_kafkas_secret_are_those_of_its_mechanism() -> None:
    secured = feed(**{f"spec__kafka__{name}": value for name, value in SECRET.items()})
    secrets = {"ib-paper-accounts": KEYS, "kafka-user": frozenset({"username"})}
    (finding,) = examined({"feed": secured, "secrets": secrets}).findings
    assert (finding.code, finding.what) == ("secret-key-missing", "it lacks password")


def test_avro_feed_without_fault_has_no_finding() -> None:
    assert examined({"feed": AVRO, "registry": RegistryFacts()}).findings == []


def test_renewal_of_a_dead_holder_is_no_clock() -> None:
    dead = account(1, "energy-0", skew_s=-300.0, renewed=False)
    assert examined({"accounts": (dead,)}).findings == []


def test_maintenance_explains_and_is_no_fault() -> None:
    night = {**OF_FEED["ib-maintenance"], **OF_FEED["session-down"]}
    assert [one.code for one in examined(night).findings] == ["ib-maintenance", "session-down"]


def test_mend_of_a_parked_account_clears_its_annotations() -> None:
    (finding,) = examined(OF_FEED["account-parked"]).findings
    assert finding.mend.endswith(
        "kubectl -n markets annotate lease/ib-account-ib-paper-accounts-1"
        " ibfeed.dev/parked- ibfeed.dev/failed-logins- ibfeed.dev/next-login-"
    )
