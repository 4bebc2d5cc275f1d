"""Every metric of the product, read from the objects that serve it, and the page that lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.registry import Collector

import ibfeed_operator.metrics  # noqa: F401 - it registers them
from ibfeed_api.feed import Kafka
from ibfeed_platform.sinks.metrics import SinkMetrics
from ibfeed_worker.recording.frame_recorder import RecorderCounters
from ibfeed_worker.recording.metrics import RecorderCollector
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.stream import Streamer

PREFIX: Final = "ibfeed_"
# The unit that the last part of a name says (https://prometheus.io/docs/practices/naming/).
UNITS: Final = {"seconds": "s", "bytes": "bytes", "records": "records"}
HEAD: Final = """\
# Metrics

Made from the code by `make monitoring`; do not edit. Operator, worker and sink serve them at
`/metrics` on port 8080. The monitors (`manifests/monitoring/`) add `namespace`
and `pod`, and `feed` for workers; with the operator, `namespace` is the feed's or the sink's.

No label holds an account, a user, a contract or a record. So the number of series does not grow
with the contracts: a worker has at most {worker} of them, a sink {sink}, and an operator {feed} for
each feed. Python's and the process' own metrics (`python_…`, `process_…`) are served, too.

[Alerts](runbooks/README.md) and the dashboard of `manifests/monitoring/dashboards/` use them.
"""
# Bounds of series, histogram buckets included; the tests hold them.
MOST_OF_WORKER: Final = 600
MOST_OF_SINK: Final = 40
MOST_OF_FEED: Final = 30


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric. ``name`` is that of its series, but for the endings of a histogram's."""

    part: str
    name: str
    kind: str  # counter, gauge, histogram
    labels: tuple[str, ...]
    meaning: str

    @property
    def unit(self) -> str:
        words = self.name.removesuffix("_total").split("_")
        if words[-2:] == ["timestamp", "seconds"]:
            return "s since 1970"
        return UNITS.get(words[-1], "")

    @property
    def series(self) -> tuple[str, ...]:
        """The names that an expression may ask for."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{end}" for end in ("bucket", "count", "sum"))
        return (self.name,)


def worker_registry() -> tuple[CollectorRegistry, Streamer]:
    """Return all metrics of a worker that has just begun, and its data path."""
    registry = Metrics().registry
    kafka = Kafka(bootstrap_servers="kafka:9092")
    streamer = Streamer(
        worker="energy-0", feed="energy", kafka=kafka, lines=1000, on_change=lambda: None, may_write=lambda: True
    )
    for collector in (streamer.collector, streamer.kafka_collector, RecorderCollector(RecorderCounters())):
        registry.register(collector)
    return registry, streamer


def sink_registry() -> CollectorRegistry:
    """Return all metrics of a sink's pod that has just begun."""
    registry = CollectorRegistry()
    SinkMetrics(registry, sink="latest", feed="energy", destination="redis")
    return registry


def definitions() -> tuple[Definition, ...]:
    """Return every metric of the product, by part and name."""
    parts = {"operator": REGISTRY, "worker": worker_registry()[0], "sink": sink_registry()}
    return tuple(
        definition
        for part, registry in parts.items()
        for definition in sorted(_of_registry(part, registry), key=lambda found: found.name)
    )


def _of_registry(part: str, registry: CollectorRegistry) -> Iterator[Definition]:
    collectors: list[Collector] = list(registry._collector_to_names)  # prometheus_client has no public list of them
    for collector in collectors:
        for family in collector.collect():
            if not family.name.startswith(PREFIX):
                continue
            total = "_total" if family.type == "counter" else ""
            # A family without series knows its labels by its own object, or by its collector.
            labels = getattr(family, "_labelnames", ()) or getattr(collector, "_labelnames", ())
            text = family.documentation.rstrip(".")
            yield Definition(part, family.name + total, family.type, tuple(labels or ()), text)


def page() -> str:
    """Return ``docs/metrics.md``."""
    every = definitions()
    parts = [HEAD.format(worker=MOST_OF_WORKER, sink=MOST_OF_SINK, feed=MOST_OF_FEED)]
    for part, title in (("operator", "Operator"), ("worker", "Worker"), ("sink", "Sink")):
        rows = "".join(_row(definition) for definition in every if definition.part == part)
        parts.append(f"\n## {title}\n\n| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n{rows}")
    return "".join(parts)


def _row(found: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in found.labels)
    return f"| `{found.name}` | {found.kind} | {labels} | {found.unit} | {found.meaning} |\n"
