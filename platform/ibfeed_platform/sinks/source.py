"""Where a sink's records come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import ibfeed


@dataclass(frozen=True)
class KafkaSource:
    """A feed's topics, and the consumer group of one sink.

    Args:
        servers: Kafka's bootstrap servers.
        feed: name of the IbFeed; records of other feeds on the same topics are left out.
        topics: the topics' names.
        group: the consumer group. Processes of one group share the partitions.
        config: further properties of librdkafka. They may hold secrets, so they are not shown.
        registry: the schema registry, if the feed names one; then records may be Avro.
        avro: the feed writes Avro now.
    """

    servers: str
    feed: str
    topics: ibfeed.Topics
    group: str
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: ibfeed.SchemaRegistry | None = None
    avro: bool = False
