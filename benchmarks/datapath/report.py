"""The bars, the table, and the file that goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import bars
from bars import Bar

BARS: Final = (
    Bar("ticks_per_s_core", "≥", 100_000, "TLS websocket frame to acknowledged record, client on one core"),
    Bar("limit_ratio", "≥", 0.5, "that over a bare loop of the fastest parts, same run"),
    Bar("vs_ibind", "≥", 4, "that over ibind's websocket client and the same producer"),
    Bar("vs_cryptofeed_kafka", "≥", 30, "that over cryptofeed's own Kafka backend"),
    Bar("added_latency_ms.p50", "≤", 1, "frame sent to record consumed, 100 contracts at 2/s"),
    Bar("added_latency_ms.p99", "≤", 4, ""),
    Bar("cpu_percent_at_ib_rate", "≤", 5, "of one core, Python part"),
    Bar("stall_lost", "≤", 0, "ticks not on Kafka; Kafka, and the loop, held for 10 s at 2,000/s"),
    Bar("worker_rss_mb", "≤", 120, "Python part"),
    Bar("chromium_seconds_per_login", "≤", 15, "of a processor"),
    Bar("soak_hours_simulated", "≥", 168, "resets, expiries and renewals on a clock that is sped up"),
    Bar("soak_lost", "≤", 0, "updates in no recorded gap"),
    Bar("soak_duplicated", "≤", 0, "updates"),
    Bar("maintenance_hours", "≥", 72, "of IB maintenance, each kind by itself, 4 accounts, right passwords"),
    Bar("maintenance_accounts_parked", "≤", 0, ""),
    Bar("maintenance_logins_in_a_day", "≤", 10, "of an account, whether they pass or not"),
    Bar("maintenance_streaming_after_min", "≤", 15, "after its end, where IB can be asked without a login"),
    # Eight probes a day of each of four accounts are one in 45 min: the end cannot be found sooner.
    Bar("maintenance_page_refuses_streaming_after_min", "≤", 50, "after its end, where only a login tells of it"),
    Bar("faults_unsurvived", "≤", 0, "of the faults that were tried"),
)


def table(results: Mapping[str, Any]) -> list[str]:
    """A line for each bar, measured or not."""
    return bars.table(BARS, results)


def met(results: Mapping[str, Any]) -> bool:
    """Whether no bar that was measured is missed."""
    return bars.met(BARS, results)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Beside the results: the bars, the machine, the versions."""
    names = ("confluent-kafka", "msgspec", "picows")
    bars.write(BARS, results, {name: version(name) for name in names}, path)
