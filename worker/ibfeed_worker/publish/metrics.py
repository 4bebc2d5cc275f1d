"""Metrics of the way to Kafka, for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ibfeed_worker.publish.send_queue import SendQueue


@dataclass(slots=True)
class LineCounters:
    """Counts of the line to Kafka since the process started."""

    producers: int = 0
    probes: int = 0
    given_up: int = 0  # producers whose records were given up
    troubles: Counter[str] = field(default_factory=Counter)  # times that the status took on a reason


class KafkaCollector(Collector):
    """The collector of these metrics.

    ``late`` returns how many partition writers wait too long for an acknowledgement.
    """

    def __init__(self, counters: LineCounters, send_queue: SendQueue, late: Callable[[], int]) -> None:
        self._counters = counters
        self._send_queue = send_queue
        self._late = late

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; they are read when asked for."""
        counters, send_queue = self._counters, self._send_queue
        troubles = CounterMetricFamily(
            "ibfeed_kafka_troubles", "Times that records could not be published, by reason", labels=["reason"]
        )
        for reason, count in sorted(counters.troubles.items()):
            troubles.add_metric([reason], count)
        yield troubles
        yield CounterMetricFamily("ibfeed_kafka_producers", "Producers made", value=counters.producers)
        yield CounterMetricFamily("ibfeed_kafka_probes", "Acknowledgements asked for by a probe", value=counters.probes)
        yield CounterMetricFamily(
            "ibfeed_kafka_given_up", "Times that unacknowledged records were given up", value=counters.given_up
        )
        yield CounterMetricFamily(
            "ibfeed_kafka_records_again",
            "Records that came back and were given to another producer",
            value=send_queue.counters.ticks.again,
        )
        yield GaugeMetricFamily("ibfeed_kafka_kept", "Records that wait for a producer", value=send_queue.kept)
        yield GaugeMetricFamily(
            "ibfeed_kafka_channels_late", "Contracts and books whose records wait for too long", value=self._late()
        )
