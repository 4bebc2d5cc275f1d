"""How far ClickHouse has come with a topic, as Kafka knows it from the group's offsets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ibfeed.clickhouse.health import Reach
from ibfeed.errors import KafkaUnreachableError

_WITHIN_S: Final = 10.0


def reach(servers: str, groups: Mapping[str, str], config: Mapping[str, str]) -> dict[str, Reach]:
    """Return how far the group of each topic has come. It is not joined, and nothing is read.

    Args:
        groups: the group of each topic.
        config: further properties of librdkafka.

    Raises:
        KafkaUnreachableError: Kafka does not answer, or refuses.
    """
    return {topic: _reach(servers, group, topic, config) for topic, group in groups.items()}


def _reach(servers: str, group: str, topic: str, config: Mapping[str, str]) -> Reach:
    settings = {"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False, "log_level": 2}
    consumer = None
    done = end = 0
    try:
        consumer = Consumer({**settings, **config})
        known = consumer.list_topics(topic, timeout=_WITHIN_S).topics[topic].partitions
        partitions = [TopicPartition(topic, number) for number in known]
        for place in consumer.committed(partitions, timeout=_WITHIN_S):
            low, high = consumer.get_watermark_offsets(place, timeout=_WITHIN_S)
            done += max(place.offset, low)  # a negative one stands for none
            end += high
    except KafkaException as error:
        cause = error.args[0].str()
        raise KafkaUnreachableError(f"Kafka at {servers} does not tell offsets ({cause}): check the address") from None
    finally:
        if consumer is not None:
            consumer.close()
    return Reach(done, end)
