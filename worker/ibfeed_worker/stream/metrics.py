"""The data path's numbers for Prometheus, read when asked for: the hot path only adds to plain integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ibfeed_api.shard import ContractState
from ibfeed_worker import publish
from ibfeed_worker.stream import dispatcher
from ibfeed_worker.ticks import Withheld


@dataclass(frozen=True, slots=True)
class StreamReading:
    """The data path's numbers at one moment."""

    stream: dispatcher.FrameCounters
    publish: publish.PublishCounters
    withheld: Mapping[Withheld, int]
    unassigned: int  # frames without a conid, or of a contract that is not ours
    unreadable: int  # values that were no numbers
    rows_unreadable: int  # of price ladders
    books_crossed: int  # records of books with a bid that is not below an ask
    ladders_dead: int  # ladders that fell silent while the quote moved
    outgrown: int  # held ticks that were dropped, for their number or age
    lines_suspected: int  # contracts that were silent for too long, and were asked
    lines_died: int  # of these, the ones that did not answer
    lines_dead: int  # dead lines at present
    hours_unknown: int  # contracts whose trading hours are not known at present
    trading: int  # contracts to publish whose trading hours go on, as far as they are known
    states: Mapping[ContractState, int]
    lines: int
    backlog: int
    reachable: bool
    last_tick: float | None  # seconds since 1970


class StreamCollector(Collector):
    """The collector of these metrics; ``read`` returns the present numbers."""

    def __init__(self, read: Callable[[], StreamReading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield from _websocket(now)
        stream, kafka = now.stream, now.publish
        yield from _deliveries("ticks", "Ticks", kafka.ticks)
        yield from _deliveries("books", "Order book records", kafka.books)
        yield CounterMetricFamily("ibfeed_books_crossed", "Records of crossed books", value=now.books_crossed)
        yield _latency(kafka.latency)
        yield CounterMetricFamily(
            "ibfeed_gaps", "Gaps in the ticks of a contract, as told to readers", value=kafka.gaps
        )
        yield CounterMetricFamily("ibfeed_events_produced", "Events given to Kafka's client", value=kafka.events)
        yield CounterMetricFamily("ibfeed_events_lost", "Events that did not reach Kafka", value=kafka.events_lost)
        withheld = CounterMetricFamily("ibfeed_ticks_withheld", "Frames that led to no tick", labels=["reason"])
        for reason in Withheld:
            withheld.add_metric([reason], now.withheld.get(reason, 0))
        yield withheld
        yield CounterMetricFamily(
            "ibfeed_ticks_outgrown", "Ticks held for a hand-over that gave way to later ones", value=now.outgrown
        )
        yield CounterMetricFamily(
            "ibfeed_lines_suspected", "Contracts silent for longer than their pace", value=now.lines_suspected
        )
        yield CounterMetricFamily("ibfeed_lines_died", "Subscriptions that brought no frame", value=now.lines_died)
        yield GaugeMetricFamily("ibfeed_lines_dead", "Contracts that IB sends nothing of", value=now.lines_dead)
        yield GaugeMetricFamily(
            "ibfeed_hours_unknown",
            "Contracts whose trading hours are not known: their silence is not judged",
            value=now.hours_unknown,
        )
        states = GaugeMetricFamily("ibfeed_contracts", "Contracts of the worker, standbys included", labels=["state"])
        for state in ContractState:
            states.add_metric([state], now.states.get(state, 0))
        yield states
        yield GaugeMetricFamily(
            "ibfeed_contracts_trading", "Contracts to publish that trade now, by IB's trading hours", value=now.trading
        )
        yield GaugeMetricFamily("ibfeed_lines_used", "Market data lines in use", value=now.lines)
        yield GaugeMetricFamily("ibfeed_lines_refused", "Contracts without a market data line", value=stream.refused)
        yield GaugeMetricFamily("ibfeed_kafka_backlog", "Records that Kafka has not acknowledged", value=now.backlog)
        yield GaugeMetricFamily("ibfeed_kafka_reachable", "Whether Kafka can be used", value=float(now.reachable))
        yield GaugeMetricFamily(
            "ibfeed_last_tick_timestamp_seconds", "When the latest smd frame came", value=now.last_tick or 0.0
        )


def _websocket(now: StreamReading) -> Iterator[Metric]:
    stream = now.stream
    yield CounterMetricFamily("ibfeed_frames", "Websocket messages received", value=stream.frames)
    yield CounterMetricFamily("ibfeed_frame_bytes", "Bytes of websocket messages received", value=stream.bytes)
    yield CounterMetricFamily("ibfeed_frames_malformed", "Messages that could not be read", value=stream.malformed)
    yield CounterMetricFamily("ibfeed_frames_error", "Error frames of IB", value=stream.errors)
    yield CounterMetricFamily("ibfeed_frames_unknown", "Frames of unknown topics", value=stream.unknown)
    yield CounterMetricFamily("ibfeed_frames_unassigned", "Frames of no contract of ours", value=now.unassigned)
    yield CounterMetricFamily("ibfeed_values_unreadable", "Values that are no numbers", value=now.unreadable)
    yield CounterMetricFamily("ibfeed_ladder_rows_unreadable", "Ladder rows not understood", value=now.rows_unreadable)
    yield CounterMetricFamily("ibfeed_websocket_connections", "Websockets opened", value=stream.connections)
    yield CounterMetricFamily("ibfeed_subscribes", "smd commands sent, renewals included", value=stream.subscribed)
    yield CounterMetricFamily("ibfeed_unsubscribes", "umd commands sent", value=stream.unsubscribed)
    yield CounterMetricFamily(
        "ibfeed_unsubscribes_repeated", "umd commands that were not heeded", value=stream.unsubscribed_again
    )
    yield CounterMetricFamily("ibfeed_ladder_subscribes", "sbd commands sent", value=stream.ladders_asked)
    yield CounterMetricFamily("ibfeed_ladder_unsubscribes", "ubd commands sent", value=stream.ladders_ended)
    yield CounterMetricFamily("ibfeed_ladders_dead", "Ladders silent while the quote moved", value=now.ladders_dead)


def _deliveries(name: str, what: str, counted: publish.Deliveries) -> Iterator[Metric]:
    yield CounterMetricFamily(f"ibfeed_{name}_produced", f"{what} given to Kafka's client", value=counted.handed_over)
    yield CounterMetricFamily(f"ibfeed_{name}_acknowledged", f"{what} that Kafka has", value=counted.acknowledged)
    yield CounterMetricFamily(f"ibfeed_{name}_failed", f"{what} that Kafka refused", value=counted.failed)
    yield CounterMetricFamily(
        f"ibfeed_{name}_conflated", f"{what} that gave way to a later one", value=counted.conflated
    )


def _latency(counted: publish.LatencyCounts) -> Metric:
    bounds = [*(f"{bound}" for bound in publish.LATENCY_BUCKETS_S), "+Inf"]
    return HistogramMetricFamily(
        "ibfeed_tick_latency_seconds",
        "From IB's time of a tick to Kafka's acknowledgement, of one in 16 ticks of each contract",
        buckets=list(zip(bounds, accumulate(counted.buckets), strict=True)),
        sum_value=counted.sum_s,
    )
