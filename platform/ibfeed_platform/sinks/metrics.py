"""A sink's metrics, for Prometheus. Their labels name the sink, and nothing of which there could be many."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ibfeed_api.sink import SinkState
from ibfeed_platform.sinks.report import Work

LABELS: Final = ("sink", "feed", "destination")
# The objective is six seconds, so that is a bound of a bucket.
BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, 60.0)
KINDS: Final = ("retrying", "refused", "report")


class SinkMetrics:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry, *, sink: str, feed: str, destination: str) -> None:
        names = (sink, feed, destination)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, LABELS, registry=registry).labels(*names)

        self._rows = Counter(
            "ibfeed_sink_rows", "Records that the destination has confirmed.", LABELS, registry=registry
        ).labels(*names)
        self._unreadable = Counter(
            "ibfeed_sink_unreadable_records",
            "Records that cannot be decoded, and were left out. The sink's condition Readable tells the last cause.",
            LABELS,
            registry=registry,
        ).labels(*names)
        self._lag = gauge("ibfeed_sink_lag_records", "Records of this process' partitions that are not confirmed.")
        self._last_event = gauge(
            "ibfeed_sink_last_event_timestamp_seconds", "IB's time of the newest record in the destination."
        )
        self._last_write = gauge("ibfeed_sink_last_write_timestamp_seconds", "When the destination confirmed last.")
        self._writing = gauge("ibfeed_sink_writing", "1 if the destination takes the records that come, else 0.")
        self._latency = Histogram(
            "ibfeed_sink_latency_seconds",
            "From IB's time of a record to the destination's confirmation, of a sample of the records.",
            LABELS,
            buckets=BUCKETS_S,
            registry=registry,
        ).labels(*names)
        errors = Counter(
            "ibfeed_sink_errors",
            "Failures: retrying (Kafka or destination), refused (a person must help), report (of the status).",
            (*LABELS, "kind"),
            registry=registry,
        )
        self._errors = {kind: errors.labels(*names, kind) for kind in KINDS}
        self._before = Work()

    def observe(self, work: Work, latencies_ms: tuple[float, ...] | list[float]) -> None:
        """Take in how far the process has come, and the latencies of records since the last call."""
        before, self._before = self._before, work
        self._rows.inc(max(0, work.rows - before.rows))
        self._unreadable.inc(max(0, work.unreadable - before.unreadable))
        progress = work.progress
        self._lag.set(float("nan") if progress.lag is None else progress.lag)
        if progress.last_event_ms is not None:
            self._last_event.set(progress.last_event_ms / 1000)
        if progress.last_write_ms is not None:
            self._last_write.set(progress.last_write_ms / 1000)
        self._writing.set(work.state is SinkState.WRITING)
        for latency in latencies_ms:
            self._latency.observe(latency / 1000)
        if work.error and work.error != before.error:
            self.count_error("refused" if work.state is SinkState.REFUSED else "retrying")

    def count_error(self, kind: str) -> None:
        """Count a failure of one of ``KINDS``."""
        self._errors[kind].inc()
