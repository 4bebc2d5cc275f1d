"""Each way in which real Kafkas are secured, on a real Kafka: topics are made, ticks published, tails read."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import AclOperation

from component.scripted_gateway import Worker, entry, topics, working
from component.test_stream_kafka import read_all
from ibfeed_api.feed import Compression, Kafka, OAuth
from ibfeed_api.shard import ContractState
from ibfeed_worker.publish import connect
from ibfeed_worker.stream.frame import decode
from support.authority import Authority, keystore
from support.broker import Broker, Listener
from support.kafka_users import AUTHORITY, AUTHORIZER, OWN, Secrets, allow, scram_user
from support.tokens import AUDIENCE, Provider

CONID = 640_000_001
QUOTE = {"31": "71.90", "7059": "3", "84": "71.89", "86": "71.91", "6509": "RB"}
LOGIN = "org.apache.kafka.common.security"
EVERYTHING = (AclOperation.WRITE, AclOperation.DESCRIBE, AclOperation.READ, AclOperation.CREATE)


@dataclass
class Place:
    broker: Broker
    authority: Authority
    clients: Authority
    provider: Provider

    def kafka(self, kafka: Kafka, listener: str, protocol: str, mechanism: str | None = None, **more: Any) -> Kafka:
        return msgspec.structs.replace(
            kafka,
            bootstrap_servers=self.broker.at[listener],
            security_protocol=protocol,
            sasl_mechanism=mechanism,
            secret_ref=OWN,
            **more,
        )


# A user's name is the common name alone, as in a certificate that Strimzi issues.
BY_COMMON_NAME = {"ssl.principal.mapping.rules": "RULE:^CN=([^,]+),.*$/CN=$1/,DEFAULT"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("kafka")
    ours, clients = Authority("brokers"), Authority("clients")
    shown = ours.issue("kafka", "127.0.0.1")
    with Provider(home, ours.issue("provider", "127.0.0.1")) as provider:
        provider.clients["feed"] = "token-secret"
        scram = {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
            "scram-sha-256.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
            "scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
        }
        plain = {
            "sasl.enabled.mechanisms": "PLAIN",
            "plain.sasl.jaas.config": f'{LOGIN}.plain.PlainLoginModule required user_feed="plain-secret";',
        }
        oauth = {
            "sasl.enabled.mechanisms": "OAUTHBEARER",
            "oauthbearer.sasl.jaas.config": f"{LOGIN}.oauthbearer.OAuthBearerLoginModule required;",
            "oauthbearer.sasl.server.callback.handler.class": (
                f"{LOGIN}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            "oauthbearer.connections.max.reauth.ms": "60000",
        }
        broker = Broker(
            home,
            listeners={
                "TLS": Listener("SSL", settings=keystore(home, "TLS", *shown)),
                "MUTUAL": Listener("SSL", settings=keystore(home, "MUTUAL", *shown, clients.pem) | BY_COMMON_NAME),
                "SCRAM": Listener("SASL_SSL", settings=scram | keystore(home, "SCRAM", *shown)),
                "PLAIN": Listener("SASL_PLAINTEXT", settings=plain),
                "OAUTH": Listener("SASL_SSL", settings=oauth | keystore(home, "OAUTH", *shown)),
            },
            settings={
                **AUTHORIZER,
                "sasl.oauthbearer.jwks.endpoint.url": provider.keys,
                "sasl.oauthbearer.expected.audience": AUDIENCE,
            },
            java=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={provider.keys}",),
        )
        asyncio.run(broker.start())
        scram_user(broker.servers, "feed", b"scram-secret")
        for user in ("feed", "CN=feed", "ANONYMOUS"):
            allow(broker.servers, user, {"*": EVERYTHING})
        yield Place(broker, ours, clients, provider)
        broker.kill()


def quote(worker: Worker, at: int, price: str) -> None:
    frame = {"topic": f"smd+{CONID}", "conid": CONID, "_updated": at, **QUOTE, "31": price}
    worker.streamer.subscriber.on_smd(decode(json.dumps(frame).encode()), time.time_ns())


def _is_at(worker: Worker, event_time: int) -> bool:
    return worker.streamer.reports()[0].event_time == event_time


async def publishes(place: Place, kafka: Kafka, secrets: Secrets, **more: Any) -> list[dict[str, Any]]:
    """A worker makes the topics and publishes two ticks; the next one reads how far it came, and goes on."""
    now = time.time_ns() // 1_000_000
    for epoch, prices in ((1, ("71.90", "72.00")), (2, ("72.00", "73.00"))):
        async with working(kafka, read_secrets=secrets.of(kafka).read, **more) as worker:
            await worker.until(lambda: worker.streamer.kafka_status().reachable is not None, within=30)
            assert worker.streamer.kafka_status().reachable, worker.streamer.kafka_status().message
            worker.streamer.obey((entry(CONID, 0, epoch=epoch),))
            worker.streamer.subscriber.on_subscribed([CONID])
            for number, price in enumerate(prices, epoch):
                quote(worker, now + 500 * number, price)
            goal = now + 500 * (epoch + 1)
            await worker.until(partial(_is_at, worker, goal))
            assert worker.streamer.reports()[0].state is ContractState.PUBLISHING
    found = [record.value for record in read_all(kafka.topics.ticklast, place.broker.servers)]
    gaps = [r.value for r in read_all(kafka.topics.feed_events, place.broker.servers) if r.value["kind"] == "gap"]
    assert [str(value["price"]) for value in found] == ["71.90", "72.00", "73.00"]  # the second knew of the first's
    assert gaps == []
    return found


async def test_tls_with_a_private_authority(place: Place) -> None:
    with topics(place.broker.servers) as kafka:
        secrets = Secrets({OWN.name: {"ca.crt": place.authority.pem}})
        await publishes(place, place.kafka(kafka, "TLS", "SSL"), secrets)


async def test_mutual_tls_as_strimzi_writes_it(place: Place) -> None:
    """The KafkaUser's ca.crt is that of the clients; the brokers' is in the cluster's own Secret."""
    certificate, key = place.clients.issue("feed")
    user = {
        "user.crt": certificate,
        "user.key": key,
        "ca.crt": place.clients.pem,
        "user.p12": b"\x30\x82",
        "user.password": b"x",
    }
    with topics(place.broker.servers) as kafka:
        secrets = Secrets({OWN.name: user, AUTHORITY.name: {"ca.crt": place.authority.pem, "ca.p12": b"\x30"}})
        await publishes(place, place.kafka(kafka, "MUTUAL", "SSL", ca_secret_ref=AUTHORITY), secrets)


async def test_mutual_tls_with_one_secret(place: Place) -> None:
    certificate, key = place.clients.issue("feed")
    user = {"tls.crt": certificate, "tls.key": key, "ca.crt": place.authority.pem}
    with topics(place.broker.servers) as kafka:
        await publishes(place, place.kafka(kafka, "MUTUAL", "SSL"), Secrets({OWN.name: user}))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_scram_over_tls(place: Place, mechanism: str) -> None:
    user = {"username": b"feed\n", "password": b"\xef\xbb\xbfscram-secret\r\n", "ca.crt": place.authority.pem}
    with topics(place.broker.servers) as kafka:
        await publishes(place, place.kafka(kafka, "SCRAM", "SASL_SSL", mechanism), Secrets({OWN.name: user}))


async def test_scram_as_strimzi_writes_it(place: Place) -> None:
    jaas = f'{LOGIN}.scram.ScramLoginModule required username="feed" password="scram-secret";'
    user = {"password": b"scram-secret", "sasl.jaas.config": jaas.encode()}
    with topics(place.broker.servers) as kafka:
        asked = place.kafka(kafka, "SCRAM", "SASL_SSL", "SCRAM-SHA-512", ca_secret_ref=AUTHORITY)
        await publishes(place, asked, Secrets({OWN.name: user, AUTHORITY.name: {"ca.crt": place.authority.pem}}))


async def test_plain_without_tls(place: Place) -> None:
    user = {"username": b"feed", "password": b"plain-secret"}
    with topics(place.broker.servers) as kafka:
        await publishes(place, place.kafka(kafka, "PLAIN", "SASL_PLAINTEXT", "PLAIN"), Secrets({OWN.name: user}))


def oauth(place: Place, kafka: Kafka) -> Kafka:
    provider = OAuth(token_endpoint=place.provider.token, scope="kafka.publish")
    return place.kafka(kafka, "OAUTH", "SASL_SSL", "OAUTHBEARER", oauth=provider)


async def test_tokens_of_an_openid_provider(place: Place) -> None:
    user = {"client-id": b"feed", "client-secret": b"token-secret", "ca.crt": place.authority.pem}
    trusting = partial(connect, trusted=place.authority.pem.decode())  # the feed's extraCA
    with topics(place.broker.servers) as kafka:
        await publishes(place, oauth(place, kafka), Secrets({OWN.name: user}), connect=trusting)
    assert place.provider.asked[-1]["scope"] == ["kafka.publish"]


async def test_a_token_that_is_refused_is_named(place: Place) -> None:
    user = {"client-id": b"feed", "client-secret": b"not-this", "ca.crt": place.authority.pem}
    trusting = partial(connect, trusted=place.authority.pem.decode())
    with topics(place.broker.servers) as kafka:
        asked = oauth(place, kafka)
        async with working(asked, read_secrets=Secrets({OWN.name: user}).of(asked).read, connect=trusting) as worker:
            await worker.until(lambda: worker.streamer.kafka_status().reason == "CredentialsRefused", within=30)
            message = worker.streamer.kafka_status().message
            assert "client-id and client-secret in Secret kafka-user" in message
            assert "not-this" not in message
            assert place.provider.refused < 30


@pytest.mark.parametrize("compression", list(Compression))
async def test_each_compression(place: Place, compression: Compression) -> None:
    with topics(place.broker.servers) as kafka:
        await publishes(place, msgspec.structs.replace(kafka, compression=compression), Secrets({}))


async def test_further_properties_reach_the_client(place: Place) -> None:
    config = {"socket.timeout.ms": "9000", "compression.level": "3", "ssl.endpoint.identification.algorithm": "none"}
    with topics(place.broker.servers) as kafka:
        await publishes(place, msgspec.structs.replace(kafka, config=config), Secrets({}))


async def test_an_ipv6_literal(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))  # a machine without IPv6 cannot run a Kafka there either
    broker = Broker(tmp_path, host="[::1]")
    await broker.start()
    try:
        with topics(broker.servers) as kafka:
            assert kafka.bootstrap_servers.startswith("[::1]:")
            await publishes(Place(broker, Authority(), Authority(), None), kafka, Secrets({}))  # type: ignore[arg-type]
    finally:
        broker.kill()
