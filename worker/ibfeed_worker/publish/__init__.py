"""Ticks, order books and events onto Kafka: in order per contract, on its partition, each acknowledged or accounted
for."""

from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, Full, connect
from ibfeed_worker.publish.credentials import NOBODY, BadSecret, KafkaCredentials, read_credentials
from ibfeed_worker.publish.line import ReadSecrets, SecretsError, no_secrets
from ibfeed_worker.publish.partition_writer import Channel, Deliveries
from ibfeed_worker.publish.publisher import Publisher
from ibfeed_worker.publish.send_queue import Counters
from ibfeed_worker.publish.tail import Tail

__all__ = [
    "NOBODY",
    "BadSecret",
    "Broker",
    "BrokerError",
    "Channel",
    "Connect",
    "Counters",
    "Deliveries",
    "Full",
    "KafkaCredentials",
    "Publisher",
    "ReadSecrets",
    "SecretsError",
    "Tail",
    "connect",
    "no_secrets",
    "read_credentials",
]
