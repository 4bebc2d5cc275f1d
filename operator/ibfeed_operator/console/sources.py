"""From which Kafkas the page's ticks come, and where reading begins. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from ibfeed_api.feed import Kafka
from ibfeed_api.kafka_security import CERTIFICATE_KEYS, OAUTHBEARER, KafkaCredentials, jaas_user, security_properties
from ibfeed_operator.model.types import Feed

TICKS_BACK_MS: Final = 120_000  # of ticks, so that slow contracts have a price at once
EVENTS_BACK_MS: Final = 3600_000  # of events, for the time line
MOST_BACK: Final = 60_000  # records of a topic: about half a second of reading


@dataclass(frozen=True, slots=True)
class TickSource:
    """One Kafka with the topics of all feeds on it. ``properties`` are librdkafka's, and may hold secrets.

    ``missing``: why it cannot be read; empty: it can.
    """

    servers: str
    ticks: frozenset[str]
    events: frozenset[str]
    properties: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    missing: str = ""


def servers_of(feed: Feed) -> str:
    """Return Kafka's servers as another namespace has to write them.

    The workers are in the feed's namespace, where a name without a dot is a Service of that namespace. So the same
    ``kafka:9092`` of two namespaces are two Kafkas.
    """
    return ",".join(_from_anywhere(one.strip(), feed.namespace) for one in feed.spec.kafka.bootstrap_servers.split(","))


def _from_anywhere(server: str, namespace: str) -> str:
    host, colon, port = server.rpartition(":")
    if not host or any(mark in host for mark in ".:") or host == "localhost":
        return server
    return f"{host}.{namespace}{colon}{port}"


def sources_of(feeds: Iterable[Feed], keys: Mapping[str, bytes]) -> dict[str, TickSource]:
    """Return the source of each Kafka, by its servers (see ``servers_of``).

    Args:
        feeds: all feeds that somebody looks at.
        keys: the console's own Secret for Kafka; empty: there is none. Its keys are those of ``kafka.secretRef``.
    """
    found: dict[str, TickSource] = {}
    for feed in feeds:
        kafka = feed.spec.kafka
        servers, topics = servers_of(feed), kafka.topics
        properties, missing = _properties(kafka, keys)
        known = found.get(servers) or TickSource(servers, frozenset(), frozenset(), properties, missing)
        found[servers] = replace(
            known, ticks=known.ticks | {topics.ticklast.name}, events=known.events | {topics.feed_events.name}
        )
    return found


def _properties(kafka: Kafka, keys: Mapping[str, bytes]) -> tuple[tuple[tuple[str, str], ...], str]:
    if kafka.security_protocol != "PLAINTEXT" and not keys:
        return (), (
            f"Kafka asks for {kafka.security_protocol}, and the console has no credentials: create the Secret"
            " ibfeed-console-kafka beside it (docs/console.md)"
        )
    wanted = _wanted(kafka)
    lacking = [name for name in wanted if name not in keys and not (name == "username" and "sasl.jaas.config" in keys)]
    if lacking:
        return (), f"Secret ibfeed-console-kafka lacks {', '.join(lacking)}, which {kafka.security_protocol} needs"
    return tuple(sorted(security_properties(kafka, _credentials(keys)).items())), ""


def _wanted(kafka: Kafka) -> tuple[str, ...]:
    if not kafka.security_protocol.startswith("SASL"):
        return ()
    return ("client-id", "client-secret") if kafka.sasl_mechanism == OAUTHBEARER else ("username", "password")


def _credentials(keys: Mapping[str, bytes]) -> KafkaCredentials:
    text = {name: value.decode(errors="replace").strip() for name, value in keys.items()}
    certificate = next((pair for pair in CERTIFICATE_KEYS if pair[0] in text), CERTIFICATE_KEYS[0])
    return KafkaCredentials(
        username=text.get("username") or jaas_user(text.get("sasl.jaas.config", "")) or "",
        password=text.get("password", ""),
        authority=text.get("ca.crt", ""),
        certificate=text.get(certificate[0], ""),
        key=text.get(certificate[1], ""),
        client_id=text.get("client-id", ""),
        client_secret=text.get("client-secret", ""),
    )


def begin_at(at_time: int, high: int, partitions: int) -> int:
    """Return the offset at which reading a partition begins.

    Args:
        at_time: the first offset whose record is young enough; negative: there is none.
        high: the offset of the next record.
        partitions: of the topic, which share ``MOST_BACK``.
    """
    if at_time < 0:
        return high
    return max(at_time, high - MOST_BACK // max(1, partitions))
