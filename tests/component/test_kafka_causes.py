"""Why a worker cannot publish: each cause on a real Kafka, told apart, with its address, in words to act on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import AclOperation

from component.scripted_gateway import Worker, topics, working
from ibfeed_api.feed import Kafka
from ibfeed_api.shard import KafkaStatus
from support.authority import Authority, keystore
from support.broker import Broker, Listener
from support.kafka_users import AUTHORIZER, OWN, Secrets, allow, scram_user

PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_feed="feed-secret" user_guest="guest";'
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
SAYS_WITHIN_S = 12.0


@dataclass
class Place:
    broker: Broker
    authority: Authority
    other: Authority

    def kafka(self, kafka: Kafka, listener: str, protocol: str, mechanism: str | None = None) -> Kafka:
        servers = self.broker.at.get(listener, self.broker.servers)
        return msgspec.structs.replace(
            kafka, bootstrap_servers=servers, security_protocol=protocol, sasl_mechanism=mechanism, secret_ref=OWN
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("kafka")
    ours, other = Authority("brokers"), Authority("somebody")

    def tls(name: str, *hosts: str, days: int = 10, trusted: bytes = b"") -> Listener:
        return Listener("SSL", settings=keystore(home, name, *ours.issue("kafka", *hosts, days=days), trusted))

    broker = Broker(
        home,
        listeners={
            "TLS": tls("TLS", "127.0.0.1"),
            "NAMED": tls("NAMED", "kafka.example"),
            "EXPIRED": tls("EXPIRED", "127.0.0.1", days=-3),
            "MUTUAL": tls("MUTUAL", "127.0.0.1", trusted=ours.pem),
            "SASL": Listener(
                "SASL_PLAINTEXT",
                settings={
                    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
                    "plain.sasl.jaas.config": PLAIN,
                    "scram-sha-512.sasl.jaas.config": SCRAM,
                },
            ),
            "ADVERTISED": Listener("PLAINTEXT", advertised="127.0.0.1:1"),
            "UNRESOLVED": Listener("PLAINTEXT", advertised="kafka-0.kafka.invalid:9092"),
        },
        settings=AUTHORIZER,
    )
    asyncio.run(broker.start())
    scram_user(broker.servers, "feed", b"scram-secret")
    yield Place(broker, ours, other)
    broker.kill()


async def verdict(kafka: Kafka, secret: dict[str, bytes] | None = None) -> KafkaStatus:
    """What a worker says first of this Kafka, and that it says it in time."""
    secrets = Secrets({OWN.name: secret or {}})
    begun = time.monotonic()
    async with working(kafka, read_secrets=secrets.of(kafka).read) as worker:
        assert worker.streamer.kafka_status().reachable is None
        await worker.until(lambda: worker.streamer.kafka_status().reachable is not None, within=30)
        took = time.monotonic() - begun
        status = worker.streamer.kafka_status()
    print(f"{status.reason or 'fine'} after {took:.1f} s: {status.message}")
    assert took < SAYS_WITHIN_S
    return status


@contextlib.asynccontextmanager
async def _topics(place: Place) -> AsyncIterator[Kafka]:
    with topics(place.broker.servers) as kafka:
        async with working(kafka) as worker:  # which makes them
            await worker.reachable()
        yield kafka


FEED = {"username": b"feed", "password": b"feed-secret"}
# What it is, the listener and how we come to it, the reason, and what the message says.
CASES: list[tuple[str, tuple[Any, ...], str, list[str]]] = [
    ("no TLS there", ("", "SSL"), "SecurityProtocolMismatch", ["{at} does not speak TLS", "use the brokers' port"]),
    ("TLS there", ("TLS", "PLAINTEXT"), "SecurityProtocolMismatch", ["{at} speaks TLS", "set securityProtocol"]),
    ("SASL there", ("SASL", "PLAINTEXT"), "SecurityProtocolMismatch", ["{at}", "asks for SASL"]),
    ("no SASL there", ("", "SASL_PLAINTEXT", "PLAIN"), "CredentialsRefused", ["{at}", "correct kafka.saslMechanism"]),
    ("another name", ("NAMED", "SSL"), "TlsFailed", ["certificate of {at} is for another name", "127.0.0.1"]),
    ("expired", ("EXPIRED", "SSL"), "TlsFailed", ["certificate of {at} is out of date (certificate has expired)"]),
    ("no certificate", ("MUTUAL", "SSL"), "TlsFailed", ["{at} refuses our certificate", "user.crt and user.key"]),
    (
        "wrong password",
        ("SASL", "SASL_PLAINTEXT", "PLAIN"),
        "CredentialsRefused",
        ["{at} refuses us", "correct Secret kafka-user"],
    ),
    (
        "wrong SCRAM",
        ("SASL", "SASL_PLAINTEXT", "SCRAM-SHA-512"),
        "CredentialsRefused",
        ["{at} refuses us", "invalid credentials"],
    ),
    (
        "no such SCRAM",
        ("SASL", "SASL_PLAINTEXT", "SCRAM-SHA-256"),
        "CredentialsRefused",
        ["{at}", "correct kafka.saslMechanism"],
    ),
    (
        "advertised closed",
        ("ADVERTISED", "PLAINTEXT"),
        "AdvertisedAddressUnreachable",
        [
            "broker 1 tells clients that it is at 127.0.0.1:1, which refuses connections",
            "correct the broker's advertised.listeners (this one is the pod itself)",
        ],
    ),
    (
        "advertised unresolved",
        ("UNRESOLVED", "PLAINTEXT"),
        "AdvertisedAddressUnreachable",
        ["broker 1", "kafka-0.kafka.invalid:9092, which does not resolve"],
    ),
]


@pytest.mark.parametrize(("form", "reason", "says"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_each_cause_is_told_apart(place: Place, form: tuple[Any, ...], reason: str, says: list[str]) -> None:
    async with _topics(place) as kafka:
        asked = place.kafka(kafka, *form)
        secret = {"username": b"feed", "password": b"not-this", "ca.crt": place.authority.pem}
        status = await verdict(asked, secret)
    assert (status.reachable, status.reason) == (False, reason), status.message
    for text in says:
        assert text.format(at=asked.bootstrap_servers) in status.message
    assert "not-this" not in status.message
    assert "check spec.kafka" not in status.message


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        ("127.0.0.1:1", "kafka.bootstrapServers names 127.0.0.1:1, which refuses connections"),
        ("nowhere.invalid:9092", "kafka.bootstrapServers names nowhere.invalid:9092, which does not resolve"),
        ("[::1]:1", "kafka.bootstrapServers names [::1]:1, which refuses connections"),
    ],
)
async def test_a_bootstrap_address_that_leads_nowhere(servers: str, says: str) -> None:
    status = await verdict(Kafka(bootstrap_servers=servers))
    assert (status.reachable, status.reason) == (False, "BootstrapUnreachable")
    assert says in status.message


async def test_an_unknown_authority(place: Place) -> None:
    async with _topics(place) as kafka:
        asked = place.kafka(kafka, "TLS", "SSL")
        status = await verdict(asked, {"ca.crt": place.other.pem})
    assert status.reason == "TlsFailed"
    assert f"certificate of {asked.bootstrap_servers} is not signed by the CA that we have" in status.message
    assert "put the brokers' CA into key ca.crt of kafka.secretRef" in status.message


async def test_a_client_certificate_of_an_unknown_authority(place: Place) -> None:
    certificate, key = place.other.issue("feed")
    async with _topics(place) as kafka:
        secret = {"ca.crt": place.authority.pem, "user.crt": certificate, "user.key": key}
        status = await verdict(place.kafka(kafka, "MUTUAL", "SSL"), secret)
    assert status.reason == "TlsFailed"
    assert "refuses our certificate" in status.message and "user.crt in Secret kafka-user" in status.message


async def test_a_user_without_rights(place: Place) -> None:
    async with _topics(place) as kafka:
        allow(place.broker.servers, "guest", {"*": (AclOperation.DESCRIBE,)})
        status = await verdict(
            place.kafka(kafka, "SASL", "SASL_PLAINTEXT", "PLAIN"), {"username": b"guest", "password": b"guest"}
        )
    assert status.reason == "NotAuthorized"
    assert kafka.topics.ticklast.name in status.message and "allow our user Write and Describe" in status.message


async def test_rights_on_events_alone_do_not_do(place: Place) -> None:
    """A probe on one topic proves nothing of the others."""
    async with _topics(place) as kafka:
        events = kafka.topics.feed_events.name
        allow(place.broker.servers, "feed", {"*": (AclOperation.DESCRIBE,), events: (AclOperation.WRITE,)})
        status = await verdict(place.kafka(kafka, "SASL", "SASL_PLAINTEXT", "PLAIN"), FEED)
    assert status.reason == "NotAuthorized"
    assert kafka.topics.ticklast.name in status.message and events not in status.message


async def test_a_missing_topic(place: Place) -> None:
    with topics(place.broker.servers) as kafka:
        status = await verdict(msgspec.structs.replace(kafka, create_topics=False))
    assert status.reason == "TopicMismatch"
    assert f"Kafka has no topic {kafka.topics.ticklast.name}" in status.message


async def test_a_missing_secret(place: Place) -> None:
    kafka = place.kafka(Kafka(bootstrap_servers=place.broker.servers), "SASL", "SASL_PLAINTEXT", "PLAIN")
    async with working(kafka, read_secrets=Secrets({}).of(kafka).read) as worker:
        await worker.until(lambda: worker.streamer.kafka_status().reachable is not None)
        status = worker.streamer.kafka_status()
    assert (status.reason, status.message) == (
        "KafkaSecretUnusable",
        "Secret kafka-user of kafka.secretRef does not exist: create it",
    )


async def says(worker: Worker, reason: str, within: float = 15) -> str:
    await worker.until(lambda: worker.streamer.kafka_status().reason == reason, within)
    return worker.streamer.kafka_status().message


async def test_settings_that_the_client_refuses_are_named(place: Place) -> None:
    with topics(place.broker.servers) as kafka:
        wrong = msgspec.structs.replace(kafka, config={"no.such.thing": "1"})
        async with working(wrong) as worker:
            assert "No such configuration property" in await says(worker, "KafkaConfigRefused")
