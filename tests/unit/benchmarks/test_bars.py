"""What a benchmark says of its results: a bar that was not measured is never one that is met."""

from __future__ import annotations

import json
from pathlib import Path

from bars import Bar, met, table, value_of, write

BARS = (Bar("rate", "≥", 100, "ticks"), Bar("latency.p99", "≤", 4, ""))


def test_a_value_on_the_bar_meets_it_and_one_beyond_does_not() -> None:
    assert met(BARS, {"rate": 100, "latency": {"p99": 4}})
    assert not met(BARS, {"rate": 99.9, "latency": {"p99": 4}})
    assert not met(BARS, {"rate": 100, "latency": {"p99": 4.01}})


def test_what_was_not_measured_is_said_to_be_so() -> None:
    rate, latency = table(BARS, {"rate": 7})
    assert "MISSED" in rate
    assert "not measured" in latency
    assert value_of({"latency": {"p50": 1}}, "latency.p99") is None


def test_the_file_tells_missed_from_not_measured(tmp_path: Path) -> None:
    write(BARS, {"rate": 7}, {"kafka": "4"}, tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["missed"], found["not_measured"]) == (["rate"], ["latency.p99"])
    assert found["versions"]["kafka"] == "4"
