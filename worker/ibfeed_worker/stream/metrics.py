"""The data path's numbers for Prometheus, read when asked: the hot path only adds to plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ibfeed_worker import publish
from ibfeed_worker.stream import connection
from ibfeed_worker.ticks import Withheld


@dataclass(frozen=True, slots=True)
class Reading:
    """A moment's numbers."""

    stream: connection.Counters
    publish: publish.Counters
    withheld: Mapping[Withheld, int]
    unassigned: int  # frames without a conid, or of a contract that is not ours
    unreadable: int  # values that were no numbers
    lines: int
    backlog: int
    reachable: bool
    last_tick: float | None  # seconds since 1970


class StreamCollector(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        stream, kafka = now.stream, now.publish
        yield CounterMetricFamily("ibfeed_frames", "Websocket messages received", value=stream.frames)
        yield CounterMetricFamily("ibfeed_frame_bytes", "Bytes of websocket messages received", value=stream.bytes)
        yield CounterMetricFamily("ibfeed_frames_malformed", "Messages that could not be read", value=stream.malformed)
        yield CounterMetricFamily("ibfeed_frames_error", "Error frames of IB", value=stream.errors)
        yield CounterMetricFamily("ibfeed_frames_unknown", "Frames of unknown topics", value=stream.unknown)
        yield CounterMetricFamily("ibfeed_frames_unassigned", "smd frames of no contract of ours", value=now.unassigned)
        yield CounterMetricFamily("ibfeed_values_unreadable", "Values that are no numbers", value=now.unreadable)
        yield CounterMetricFamily("ibfeed_websocket_connections", "Websockets opened", value=stream.connections)
        yield CounterMetricFamily("ibfeed_subscribes", "smd commands sent, renewals included", value=stream.subscribed)
        yield CounterMetricFamily("ibfeed_unsubscribes", "umd commands sent", value=stream.unsubscribed)
        yield CounterMetricFamily("ibfeed_ticks_produced", "Ticks given to Kafka's client", value=kafka.handed_over)
        yield CounterMetricFamily("ibfeed_ticks_acknowledged", "Ticks that Kafka has", value=kafka.acknowledged)
        yield CounterMetricFamily("ibfeed_ticks_failed", "Ticks that Kafka refused", value=kafka.failed)
        yield CounterMetricFamily("ibfeed_ticks_conflated", "Ticks that gave way to a later one", value=kafka.conflated)
        yield CounterMetricFamily("ibfeed_events_produced", "Events given to Kafka's client", value=kafka.events)
        yield CounterMetricFamily("ibfeed_events_lost", "Events that did not reach Kafka", value=kafka.events_lost)
        withheld = CounterMetricFamily("ibfeed_ticks_withheld", "Frames that led to no tick", labels=["reason"])
        for reason in Withheld:
            withheld.add_metric([reason], now.withheld.get(reason, 0))
        yield withheld
        yield GaugeMetricFamily("ibfeed_lines_used", "Market data lines in use", value=now.lines)
        yield GaugeMetricFamily("ibfeed_lines_refused", "Contracts without a line", value=stream.refused)
        yield GaugeMetricFamily("ibfeed_kafka_backlog", "Records that Kafka has not acknowledged", value=now.backlog)
        yield GaugeMetricFamily("ibfeed_kafka_reachable", "Whether Kafka can be used", value=float(now.reachable))
        yield GaugeMetricFamily(
            "ibfeed_last_tick_timestamp_seconds", "When the latest smd frame came", value=now.last_tick or 0.0
        )
