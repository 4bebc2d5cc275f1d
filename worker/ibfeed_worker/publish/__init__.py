"""Ticks, order books and events onto Kafka: in order per contract, on its partition, each acknowledged or accounted
for."""

from ibfeed_worker.publish.broker import Broker, BrokerError, Connect, Full, connect
from ibfeed_worker.publish.channel import Channel, Deliveries
from ibfeed_worker.publish.outbox import Counters
from ibfeed_worker.publish.publisher import Publisher
from ibfeed_worker.publish.tail import Tail

__all__ = [
    "Broker",
    "BrokerError",
    "Channel",
    "Connect",
    "Counters",
    "Deliveries",
    "Full",
    "Publisher",
    "Tail",
    "connect",
]
