"""The table of contracts, followed by a consumer of its own: each process needs all of it."""

from __future__ import annotations

import logging
import time
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from ibfeed import Contract, RecordError
from ibfeed.records import UNDECODABLE, decode_contract
from ibfeed_platform.sinks import refusals
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.source import KafkaSource
from ibfeed_platform.sinks.values import Values

_CALL_S: Final = 5.0
_BATCH: Final = 1000
_POLL_S: Final = 0.1


class ContractTable:
    """The latest reference data of each contract, by conid. Calls block, and are made by one thread."""

    def __init__(self, source: KafkaSource) -> None:
        """Raises SinkError if a property for Kafka is not one."""
        self._source: Final = source
        self._contracts: Final[dict[int, Contract]] = {}
        self._values: Final = Values(source.registry)
        try:
            self._consumer: Final = Consumer(
                {
                    "bootstrap.servers": source.servers,
                    **source.config,
                    "group.id": source.group,  # it is asked for; nothing is committed
                    "enable.auto.commit": False,
                },
                logger=logging.getLogger("ibfeed.librdkafka"),
            )
        except (KafkaException, ValueError, TypeError) as error:
            raise SinkError(f"the properties for Kafka are refused: {refusals.text_of(error)}; correct them") from None

    def load(self) -> bool:
        """Read the table to its present end. Returns false if Kafka did not give all of it within 5 s.

        Raises SinkError if only a person can help, KafkaException, and RegistryUnreachableError.
        """
        topic = self._source.topics.contracts
        if topic is None:
            return True
        found = self._consumer.list_topics(topic, timeout=_CALL_S).topics[topic]
        if found.error is not None:
            refusals.check(found.error, self._source.servers, f"topic {topic}")
            raise KafkaException(found.error)
        places = [TopicPartition(topic, number, OFFSET_BEGINNING) for number in found.partitions]
        ends = {place.partition: self._consumer.get_watermark_offsets(place, timeout=_CALL_S) for place in places}
        self._consumer.assign(places)
        open_ = {number for number, (low, high) in ends.items() if low < high}
        deadline = time.monotonic() + _CALL_S
        while open_ and time.monotonic() < deadline:
            self._apply(self._consumer.consume(_BATCH, timeout=_POLL_S))
            # By the position, since the last record before an end may have been compacted away.
            reached = self._consumer.position([TopicPartition(topic, number) for number in open_])
            open_ = {one.partition for one in reached if one.offset < ends[one.partition][1]}
        return not open_

    def follow(self) -> None:
        """Take in what came meanwhile, without a wait for Kafka.

        Raises SinkError, and RegistryUnreachableError; after the latter ``load`` again.
        """
        if self._source.topics.contracts is not None:
            self._apply(self._consumer.consume(_BATCH, timeout=0))

    def get(self, conid: int) -> Contract | None:
        """Return a contract's reference data; None: not known."""
        return self._contracts.get(conid)

    def close(self) -> None:
        """Release the consumer."""
        self._consumer.close()

    def _apply(self, messages: list[Message]) -> None:
        for message in messages:
            if message.error() is not None:
                continue  # librdkafka tries again; the consumer of the group tells what fails
            value = message.value()
            try:
                if value is None:
                    self._contracts.pop(int(message.key() or b""), None)
                    continue
                contract = decode_contract(self._values.plain(value))
            except (RecordError, *UNDECODABLE):
                continue  # its units stay unknown; the records of the streams tell what is wrong with the topic
            self._contracts[contract.conid] = contract
