"""The way of ticks, order books and events to Kafka.

Each contract's records arrive in order, on its partition. Each record is acknowledged or accounted for.
"""

from ibfeed_api.kafka_security import NOBODY, KafkaCredentials
from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, QueueFullError, connect
from ibfeed_worker.publish.counters import LATENCY_BUCKETS_S, Deliveries, LatencyCounts, PublishCounters
from ibfeed_worker.publish.credentials import KafkaSecretError, read_credentials
from ibfeed_worker.publish.line import ReadSecrets, SecretsError, no_secrets
from ibfeed_worker.publish.partition_writer import PartitionWriter
from ibfeed_worker.publish.publisher import Publisher
from ibfeed_worker.publish.tail import Tail

__all__ = [
    "LATENCY_BUCKETS_S",
    "NOBODY",
    "Broker",
    "BrokerError",
    "Connect",
    "Deliveries",
    "KafkaCredentials",
    "KafkaSecretError",
    "LatencyCounts",
    "PartitionWriter",
    "PublishCounters",
    "Publisher",
    "QueueFullError",
    "ReadSecrets",
    "SecretsError",
    "Tail",
    "connect",
    "no_secrets",
    "read_credentials",
]
