"""The edge to Kafka beside the records: topics, their limits, our rights, and whether each leader answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from ibfeed_api.feed import Topic
from ibfeed_worker.publish.survey import NO_LEADER, Partition, Survey, TopicLimits
from ibfeed_worker.publish.trouble import Heard

# Each look of a worker whose Kafka has gone must end within ibfeed_api.shard.KAFKA_LOOK_S, with the pause before it.
METADATA_S: Final = 2.0
LEADER_S: Final = 2.0
_METADATA_TRY_S: Final = 0.5
_CREATE_S: Final = 5.0


class NoMetadataError(Exception):
    """No broker has told anything."""


class TopicCreationError(Exception):
    """A topic can't be created. The text says which and why; ``denied``: for lack of rights."""

    def __init__(self, text: str, *, denied: bool) -> None:
        super().__init__(text)
        self.denied: Final = denied


class Admin:
    """The administrator's client of Kafka. Its calls block, and are made one at a time.

    ``hear`` is called from within them, with each error of the client library.
    """

    def __init__(self, settings: dict[str, Any], hear: Callable[[Heard], None]) -> None:
        """Raises KafkaException, ValueError or TypeError if the settings are refused."""
        self._hear = hear
        self._refused = False
        configuration: dict[str, Any] = {**settings, "error_cb": self._on_error}
        self._client = AdminClient(configuration, logger=logging.getLogger("librdkafka"))

    def survey(self, topics: Sequence[str]) -> Survey:
        """Look at the topics and their leaders. Blocks for at most 5 s. Raises NoMetadataError."""
        found: dict[str, tuple[Partition, ...]] = {}
        hidden = set()
        brokers: dict[int, str] = {}
        for name in topics:
            metadata = self._metadata(name)
            brokers = {broker.id: f"{_bracketed(broker.host)}:{broker.port}" for broker in metadata.brokers.values()}
            topic = metadata.topics[name]
            error = None if topic.error is None else topic.error.code()
            if error == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                hidden.add(name)
            elif error != KafkaError.UNKNOWN_TOPIC_OR_PART:
                found[name] = tuple(
                    Partition(partition.leader, len(partition.replicas), len(partition.isrs))
                    for _, partition in sorted(topic.partitions.items())
                )
        survey = Survey(topics=found, hidden=frozenset(hidden), brokers=brokers)
        return replace(survey, silent=self._silent(survey))

    def limits(self, topics: Sequence[str]) -> dict[str, TopicLimits]:
        """Return the limits of the topics whose settings we may read. Blocks for at most 2 s."""
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        found = {}
        for resource, future in self._client.describe_configs(asked, request_timeout=METADATA_S).items():
            try:
                settings = future.result(METADATA_S)
                found[resource.name] = TopicLimits(
                    largest_batch=int(settings["max.message.bytes"].value),
                    least_in_sync=int(settings["min.insync.replicas"].value),
                )
            except (KafkaException, TimeoutError, KeyError, ValueError):
                continue  # not allowed, or not told: then only a refused record shows it
        return found

    def denied(self, topics: Sequence[str]) -> frozenset[str]:
        """Return the topics that Kafka says we may not write to.

        Blocks for at most 2 s; without an answer none is denied.
        """
        asked = TopicCollection(list(topics))
        answers = self._client.describe_topics(asked, include_authorized_operations=True, request_timeout=METADATA_S)
        denied = set()
        for name, future in answers.items():
            try:
                allowed = future.result(METADATA_S).authorized_operations
            except (KafkaException, TimeoutError):
                continue
            if allowed and AclOperation.WRITE not in allowed and AclOperation.ALL not in allowed:
                denied.add(name)
        return frozenset(denied)

    def create(self, topics: Sequence[Topic]) -> None:
        """Create topics; one that is there by now is fine. Blocks for at most 5 s. Raises TopicCreationError."""
        wanted = [
            NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=topic.replication_factor)
            for topic in topics
        ]
        for name, future in self._client.create_topics(wanted, request_timeout=_CREATE_S).items():
            try:
                future.result(_CREATE_S)
            except KafkaException as error:
                inner = error.args[0]
                if inner.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    denied = inner.code() in (
                        KafkaError.TOPIC_AUTHORIZATION_FAILED,
                        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
                    )
                    raise TopicCreationError(f"topic {name} can't be created: {inner.str()}", denied=denied) from None
            except TimeoutError:
                raise TopicCreationError(f"topic {name} can't be created: no answer", denied=False) from None

    def _metadata(self, topic: str) -> Any:
        """Ask for metadata in short tries. Raises NoMetadataError.

        The library opens connection after connection while it waits. A broker that refuses our password would be asked
        with it twenty times.
        """
        deadline = time.monotonic() + METADATA_S
        self._refused = False
        while True:
            try:
                return self._client.list_topics(topic, timeout=_METADATA_TRY_S)
            except KafkaException:
                self._client.poll(0)  # calls back with the errors
                if self._refused or time.monotonic() > deadline:
                    raise NoMetadataError from None

    def _silent(self, survey: Survey) -> frozenset[int]:
        """Return the leaders that do not answer. One partition of each is asked, and any answer will do."""
        latest = OffsetSpec.latest()
        asked = {TopicPartition(*place): latest for place in survey.leaders.values()}
        if not asked:
            return frozenset()
        leader_of = {place: leader for leader, place in survey.leaders.items()}
        silent = set()
        for place, future in self._client.list_offsets(asked, request_timeout=LEADER_S).items():
            try:
                answered = future.result(LEADER_S + 1.0).offset >= 0
            except KafkaException as error:
                answered = error.args[0].code() > 0  # an error code of the broker, not of the library
            except TimeoutError:
                answered = False
            if not answered:
                silent.add(leader_of[place.topic, place.partition])
        self._client.poll(0)
        return frozenset(silent - {NO_LEADER})

    def _on_error(self, error: KafkaError) -> None:
        self._refused = self._refused or error.code() == KafkaError._AUTHENTICATION
        self._hear(Heard(error.name(), error.str()))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
