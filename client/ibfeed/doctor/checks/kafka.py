"""Kafka: reachable from here and from the workers, its topics, replicas and advertised addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import FeedFacts, KafkaFacts, TopicFacts, Unknown, known
from ibfeed.doctor.findings import FoundFault, Severity, error, warning
from ibfeed.doctor.seen import SeenShard, SeenTopic

AWAY = error("kafka-unreachable", "no broker answers, neither here nor to a worker")
REFUSES = error("kafka-refused", "Kafka answers, and refuses: credentials or rights")
WORKERS = error("kafka-workers", "a worker cannot publish, and says why")
ADVERTISED = error(
    "kafka-advertised", "a broker advertises an address that does not resolve or answer (a warning if workers publish)"
)
MISSING = error("topic-missing", "a topic of the feed is not there")
PARTITIONS = error("topic-partitions", "a topic has another number of partitions than the feed says")
REPLICATION = warning("topic-replication", "a topic has fewer replicas than the feed says")
IN_SYNC = error("topic-in-sync", "fewer replicas are in sync than min.insync.replicas: nothing is acknowledged")
NO_ROOM = warning("topic-no-spare", "min.insync.replicas is all replicas: the loss of one broker stops the feed")
COMPACT = warning("topic-not-compacted", "the topic of contracts is not compacted, so contracts may be deleted")
REFERENCE = warning("contracts-not-written", "a worker cannot write what it knows of contracts; ticks go on")
FAULTS = (
    *(AWAY, REFUSES, WORKERS, ADVERTISED, MISSING, PARTITIONS),
    *(REPLICATION, IN_SYNC, NO_ROOM, COMPACT, REFERENCE),
)

_CREDENTIALS: Final = frozenset({"CredentialsRefused", "KafkaSecretUnusable", "NotAuthorized", "TlsFailed"})


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check Kafka as this machine and the workers see it."""
    for shard in known(facts.shards, ()):
        yield from _of_worker(shard, facts)
    if isinstance(facts.kafka, Unknown):
        return
    servers = facts.feed.spec.kafka.bootstrap_servers
    kafka = facts.kafka
    if kafka.trouble:
        # Many a Kafka can be reached only from within its cluster. Then the workers' word counts: see ``unseen``.
        if not facts.publishes:
            yield AWAY.found(
                f"Kafka {servers}", "no broker answers", kafka.trouble, _patch(facts, '"bootstrapServers":"HOST:9092"')
            )
        return
    if kafka.refused:
        yield REFUSES.found(
            f"Kafka {servers}", "it refuses", kafka.refused, _secret(facts) or f"{facts.on} describe ibf {facts.name}"
        )
    yield from _brokers(kafka, facts)
    for topic in facts.feed.spec.kafka.topics.every if kafka.topics is not None else ():
        yield from _of_topic(topic, (kafka.topics or {}).get(topic.name), facts)


def unseen(facts: FeedFacts) -> str:
    """Return what could not be checked because Kafka does not answer here, though it does to workers; else empty."""
    kafka = facts.kafka
    if isinstance(kafka, Unknown) or not kafka.trouble or not facts.publishes:
        return ""
    return f"topics and brokers: Kafka serves the workers, and cannot be reached from here ({kafka.trouble})"


def _of_worker(shard: SeenShard, facts: FeedFacts) -> Iterator[FoundFault]:
    kafka = shard.status.kafka
    if kafka.reachable is False:
        yield WORKERS.found(
            f"worker {shard.name}",
            f"it cannot publish: {kafka.reason}",
            kafka.message or "it does not say why",
            _mend_worker(kafka.reason, facts),
        )
    if shard.status.reference:
        topic = facts.feed.spec.kafka.topics.contracts.name
        yield REFERENCE.found(
            f"worker {shard.name}",
            f"it writes no contracts to topic {topic}",
            shard.status.reference,
            f"kafka-acls.sh --bootstrap-server {facts.feed.spec.kafka.bootstrap_servers} --list --topic {topic}",
        )


def _mend_worker(reason: str, facts: FeedFacts) -> str:
    servers = facts.feed.spec.kafka.bootstrap_servers
    if reason in _CREDENTIALS:
        return _secret(facts) or f"{facts.on} describe ibf {facts.name}"
    if reason == "BootstrapUnreachable":
        return _patch(facts, '"bootstrapServers":"HOST:9092"')
    if reason == "SecurityProtocolMismatch":
        return _patch(facts, '"securityProtocol":"SSL"')
    if reason.startswith("SchemaRegistry"):
        return _patch(facts, '"schemaRegistry":{"url":"URL"}')
    if reason == "TopicMismatch":
        return f"kafka-topics.sh --bootstrap-server {servers} --describe"
    if reason == "NotEnoughReplicas":
        return f"kafka-topics.sh --bootstrap-server {servers} --describe --under-min-isr-partitions"
    if reason == "AdvertisedAddressUnreachable":
        return "set advertised.listeners of the brokers to addresses that the pods resolve, and restart them"
    return f"{facts.on} logs {facts.name}-0 --tail=100"


def _brokers(kafka: KafkaFacts, facts: FeedFacts) -> Iterator[FoundFault]:
    for broker in kafka.brokers:
        if not broker.trouble:
            continue
        wrong = "cannot be reached from here" if broker.resolves else "does not resolve here"
        yield ADVERTISED.found(
            f"broker {broker.address}",
            f"its advertised address {wrong}",
            f"{broker.trouble}; clients get this address from the broker, whatever they began with",
            "set advertised.listeners of the broker to an address that its clients resolve, and restart it",
            severity=Severity.WARNING if facts.publishes else Severity.ERROR,
        )


def _of_topic(wanted: SeenTopic, found: TopicFacts | None, facts: FeedFacts) -> Iterator[FoundFault]:
    kafka = facts.feed.spec.kafka
    about = f"topic {wanted.name}"
    command = f"kafka-topics.sh --bootstrap-server {kafka.bootstrap_servers} --topic {wanted.name}"
    table = wanted.name == kafka.topics.contracts.name
    if found is None:
        made = "the workers may not create it" if kafka.create_topics else "spec.kafka.createTopics is false"
        compact = " --config cleanup.policy=compact" if table else ""
        yield MISSING.found(
            about,
            "it is not there, or Kafka does not show it to you",
            f"{made}, or it was deleted",
            f"{command} --create --partitions {wanted.partitions}"
            f" --replication-factor {wanted.replication_factor}{compact}",
        )
        return
    if found.partitions != wanted.partitions:
        few = found.partitions < wanted.partitions
        mend = f"{command} --alter --partitions {wanted.partitions}" if few else _patch(facts, _renamed(wanted, facts))
        yield PARTITIONS.found(
            about,
            f"it has {found.partitions} partitions, and the feed says {wanted.partitions}",
            "it was made by another client or for another feed, or was changed",
            mend,
        )
    yield from _replicas(wanted, found, about, command)
    if table and found.compacted is False:
        alter = command.replace("kafka-topics.sh", "kafka-configs.sh")
        yield COMPACT.found(
            about,
            "it is not compacted",
            "it was not made by ibfeed, or its cleanup.policy was changed",
            f"{alter} --alter --add-config cleanup.policy=compact",
        )


def _replicas(wanted: SeenTopic, found: TopicFacts, about: str, command: str) -> Iterator[FoundFault]:
    alter = command.replace("kafka-topics.sh", "kafka-configs.sh")
    least = found.min_in_sync
    if found.replicas < wanted.replication_factor:
        yield REPLICATION.found(
            about,
            f"it has {found.replicas} replicas, and the feed says {wanted.replication_factor}",
            "spec.kafka.topics.*.replicationFactor counts only when a topic is created",
            "kafka-reassign-partitions.sh --execute --reassignment-json-file FILE",
        )
    if least is not None and found.in_sync < least:
        why = (
            "the topic has fewer replicas than that"
            if found.replicas < least
            else "brokers are down or behind: start them"
        )
        yield IN_SYNC.found(
            about,
            f"{found.in_sync} replicas are in sync, and min.insync.replicas is {least}",
            why,
            f"{alter} --alter --add-config min.insync.replicas={max(1, found.replicas - 1)}",
        )
    elif least is not None and found.replicas > 1 and least == found.replicas:
        yield NO_ROOM.found(
            about,
            f"min.insync.replicas is {least}, and so are its replicas",
            "no broker may be missing, not even for its restart",
            f"{alter} --alter --add-config min.insync.replicas={least - 1}",
        )


def _renamed(topic: SeenTopic, facts: FeedFacts) -> str:
    topics = facts.feed.spec.kafka.topics
    fields = {topics.ticklast.name: "ticklast", topics.l2_data.name: "l2Data", topics.feed_events.name: "feedEvents"}
    return f'"topics":{{"{fields.get(topic.name, "contracts")}":{{"name":"NEW-NAME","partitions":{topic.partitions}}}}}'


def _patch(facts: FeedFacts, kafka: str) -> str:
    return f'{facts.on} patch ibf/{facts.name} --type merge -p \'{{"spec":{{"kafka":{{{kafka}}}}}}}\''


def _secret(facts: FeedFacts) -> str:
    secret = facts.feed.spec.kafka.secret_ref
    return f"{facts.on} edit secret {secret.name}" if secret is not None else ""
