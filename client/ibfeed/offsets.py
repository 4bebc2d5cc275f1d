"""How far a group came, as Kafka keeps it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

ANSWER_S: Final = 5.0

# Of these it is not known whether Kafka heard us.
AWAY: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError._RESOLVE,
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
    }
)
# These pass by themselves: a topic is new, or a broker has just taken over.
PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError._NOENT,  # the library has not heard of a new topic's leader yet
    }
)

Place = tuple[str, int]  # topic, partition


class GroupOffsets:
    """The writer of one group's offsets.

    It writes by an admin client of its own. A consumer cannot be closed while its own commit waits for a coordinator,
    and it waits for ever if Kafka is away.
    """

    def __init__(self, group: str, settings: Mapping[str, Any], pause_s: float) -> None:
        self._group: Final = group
        self._pause_s: Final = pause_s
        self._admin: Final = AdminClient(dict(settings), logger=logging.getLogger("ibfeed.librdkafka"))
        self._reached: Final[dict[Place, int]] = {}
        self._changed = False
        self._next_at = 0.0
        self._on_its_way: Future[ConsumerGroupTopicPartitions] | None = None

    def note(self, place: Place, offset: int) -> None:
        """Note that the records before ``offset`` are done with."""
        self._reached[place] = offset
        self._changed = True

    def write_in_passing(self) -> None:
        """Write at most every ``pause_s``; wait for nothing. Raises KafkaException if Kafka refused the last time."""
        now = time.monotonic()
        if not self._changed or now < self._next_at or (self._on_its_way and not self._on_its_way.done()):
            return
        self._next_at = now + self._pause_s
        self._settle_earlier()
        self._send()

    def write_now(self) -> None:
        """Write and wait for the answer, 5 s or twice that. Raises KafkaException."""
        self._settle_earlier()
        if self._changed:
            self._send()
            self._settle()

    def _send(self) -> None:
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in self._reached.items()]
        request = [ConsumerGroupTopicPartitions(self._group, offsets)]
        self._on_its_way = self._admin.alter_consumer_group_offsets(request, request_timeout=ANSWER_S)[self._group]
        self._changed = False

    def _settle_earlier(self) -> None:
        """Wait for the answer to what was sent before. Offsets that did not arrive are sent again."""
        try:
            self._settle()
        except KafkaException as error:
            if error.args[0].code() not in AWAY | PASSING:
                raise
            self._changed = True

    def _settle(self) -> None:
        """Wait for the answer to what was sent. Raises KafkaException."""
        future, self._on_its_way = self._on_its_way, None
        if future is None:
            return
        for partition in future.result().topic_partitions or ():
            if partition.error is not None:
                raise KafkaException(partition.error)
