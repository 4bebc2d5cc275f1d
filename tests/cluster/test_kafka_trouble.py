"""A worker that is cut off from Kafka, servers that are not there, credentials that change: on running feeds."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support.authority import Authority, keystore
from support.broker import Broker, Listener
from support.cluster import condition, eventually, items, kubectl, owners
from support.figures import Figures
from support.kafka_users import scram_user
from support.network_faults import dropped
from support.small_feed import apply, check, feed
from support.stream import KAFKA, Tap
from support.venue import Venue

pytestmark = pytest.mark.timeout(600)

HOST, _, PORT = KAFKA.rpartition(":")
USER, CA = "kafka-user", "kafka-ca"


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    remove_all_feeds()
    yield
    remove_all_feeds()


def kafka_is(name: str, status: str, reason: str = "", within: float = 60) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        said = condition(feed(name), "KafkaReachable")
        return said if said.get("status") == status and said.get("reason", "").startswith(reason) else None

    return eventually(found, within=within, what=f"KafkaReachable is {status} {reason}")


@contextmanager
def cut_off_from_kafka(pod: str) -> Iterator[None]:
    """No packet of the pod reaches Kafka; the API server and the venue it reaches as ever."""
    with dropped(pod, ("OUTPUT", "-d", HOST, "-p", "tcp", "--dport", PORT)):
        yield


def test_contracts_of_a_worker_without_kafka_go_on_elsewhere(venue: Venue, figures: Figures) -> None:
    apply("alone", workers=2)
    wait_ready("alone")
    since = venue.cursor()
    with Tap() as ticks, Tap("feed-events") as events:
        time.sleep(3)
        mine = [conid for conid, worker in owners(feed("alone")).items() if worker == "alone-1"]
        assert len(mine) == 2
        moment = time.time()
        with cut_off_from_kafka("alone-1"):
            gone_on = eventually(
                lambda: found if len(found := ticks.first_after(mine, moment + 0.3)) == len(mine) else None,
                within=60,
                what="what the cut-off worker had goes on",
            )
            figures.record("cut off from Kafka, until the other publishes", max(gone_on.values()) - moment, bar=15)
            said = kafka_is("alone", "False")["message"]
            assert "alone-1 cannot publish" in said and "others can, and go on with what it had" in said
        kafka_is("alone", "True")
        wait_ready("alone")
        time.sleep(3)
        assert check(ticks, events, venue, "alone", since) > 0, "the gap between both is told, and there is one"


def test_wrong_servers_stop_no_contract(venue: Venue, figures: Figures) -> None:
    apply("wrong", workers=2)
    wait_ready("wrong")
    since = venue.cursor()
    with Tap() as ticks, Tap("feed-events") as events:
        time.sleep(3)
        apply("wrong", workers=2, bootstrapServers=f"{HOST}:1")
        said = kafka_is("wrong", "False", "BootstrapUnreachable", within=120)["message"]
        assert f"{HOST}:1" in said and "refuses connections" in said
        pods = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in items("pods", NAMESPACE)}
        time.sleep(20)
        assert {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in items("pods", NAMESPACE)} == pods
        assert check(ticks, events, venue, "wrong", since) == 0
        stopped = [
            conid for conid in owners(feed("wrong")) if conid not in ticks.first_after([conid], time.time() - 10)
        ]
        figures.record("contracts that stop at wrong bootstrapServers", len(stopped), bar=0, unit="")
        apply("wrong", workers=2, bootstrapServers=KAFKA)
        wait_ready("wrong")
        assert check(ticks, events, venue, "wrong", since) == 0


def secret(name: str, **held: bytes) -> None:
    data = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in held.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}
    kubectl("apply", "-f", "-", stdin=json.dumps(body))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A Kafka that asks each client for its password again every five seconds."""
    authority = Authority()
    broker = Broker(tmp_path, host=HOST, listeners={"GUARDED": listener(tmp_path, authority)})
    secret(CA, ca_crt=authority.pem)
    yield broker
    broker.kill()
    kubectl("delete", "secret", USER, CA, "-n", NAMESPACE, "--ignore-not-found")


def listener(folder: Path, authority: Authority) -> Listener:
    settings = {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "connections.max.reauth.ms": "5000",
    }
    return Listener("SASL_SSL", settings=settings | keystore(folder, "GUARDED", *authority.issue(HOST, HOST)))


def test_rotated_credentials_need_no_pod_to_be_deleted(guarded: Broker, tmp_path: Path, figures: Figures) -> None:
    asyncio.run(guarded.start())
    scram_user(guarded.servers, "feed", b"first")
    secret(USER, username=b"feed", password=b"first")
    apply(
        "guarded",
        workers=1,
        bootstrapServers=guarded.at["GUARDED"],
        securityProtocol="SASL_SSL",
        saslMechanism="SCRAM-SHA-512",
        secretRef={"name": USER},
        caSecretRef={"name": CA},
    )
    wait_ready("guarded")
    (pod,) = items("pods", NAMESPACE)
    contracts = owners(feed("guarded"))

    def publishing_again(what: str) -> None:
        begun = time.time()
        with Tap(servers=guarded.servers) as ticks:
            eventually(lambda: len(ticks.first_after(contracts, begun)) == len(contracts), within=120, what=what)
        figures.record(f"Kafka's {what} rotated, until all publish", time.time() - begun, bar=60)
        wait_ready("guarded")

    scram_user(guarded.servers, "feed", b"second")
    assert USER in kafka_is("guarded", "False", "CredentialsRefused")["message"]
    secret(USER, username=b"feed", password=b"second")
    publishing_again("password")

    other = Authority("another")
    guarded.kill()
    guarded.listen("GUARDED", listener(tmp_path, other))
    guarded.write()
    asyncio.run(guarded.start())
    assert CA in kafka_is("guarded", "False", "TlsFailed")["message"]
    secret(CA, ca_crt=other.pem)
    publishing_again("CA")
    (still,) = items("pods", NAMESPACE)
    assert still["metadata"]["uid"] == pod["metadata"]["uid"]
    assert still["status"]["containerStatuses"][0]["restartCount"] == 0
