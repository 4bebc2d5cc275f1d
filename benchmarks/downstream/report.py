"""The bars of ``downstream.json``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import bars
from bars import Bar

BARS: Final = (
    Bar("reader_ticks_per_s", "≥", 200_000, "the package ibfeed, one core"),
    Bar("reader_vs_bare", "≥", 0.5, "that over a bare consumer loop, same run"),
    Bar("venue_to_clickhouse_latest_ms.p99", "≤", 1000, "event to readable in the view, 500 updates/s"),
    Bar("venue_to_redis_ms.p99", "≤", 100, "event to readable, plain consumer, 500 updates/s"),
    Bar("venue_to_redis_spark_ms.p99", "≤", 3000, "event to readable, Spark, 500 updates/s"),
    Bar("rows_lost", "≤", 0, "sink killed 10 times; broker, Redis, ClickHouse killed and started again"),
    Bar("rows_duplicated", "≤", 0, "the same"),
    Bar("stale_overwrites", "≤", 0, "all ticks three times more in a random order; two consumers, and Spark"),
    Bar("record_events_per_s", "≥", 200_000, "Kafka to files"),
    Bar("replay_events_per_s", "≥", 300_000, "files to Kafka, acknowledged"),
    Bar("bytes_per_tick", "≤", 16, "on disk"),
    Bar("torn_tail_recovered", "≥", 1000, "of 1000 cuts and turned bits: all blocks that were not touched"),
    Bar("feed_latency_ratio", "≤", 1.1, "a worker's p50 with hung or failing sinks over that without sinks"),
    Bar("feed_lost", "≤", 0, "updates of the same"),
)


def table(results: Mapping[str, Any]) -> list[str]:
    """A line for each bar, measured or not."""
    return bars.table(BARS, results)


def met(results: Mapping[str, Any]) -> bool:
    """Whether no bar that was measured is missed."""
    return bars.met(BARS, results)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Beside the results: the bars, the machine, the versions."""
    names = ("confluent-kafka", "msgspec", "redis", "clickhouse-connect", "zstandard")
    bars.write(BARS, results, {name: version(name) for name in names}, path)
