"""Lag and missing records, from what Spark tells of a batch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ibfeed_platform.spark.progress import MicroBatch, batch_of


def event(start: Any, end: Any, latest: Any, records: int) -> dict[str, Any]:
    """A progress event with the keys that Spark 4.1 writes, as far as they are read."""
    return {
        "batchId": 7,
        "numInputRows": records,
        "durationMs": {"addBatch": 120, "triggerExecution": 250},
        "sources": [{"startOffset": start, "endOffset": end, "latestOffset": latest, "numInputRows": records}],
    }


START = {"ticklast": {"0": 10, "1": 20}, "contracts": {"0": 0}}
END = {"ticklast": {"0": 15, "1": 20}, "contracts": {"0": 100}}
LATEST = {"ticklast": {"0": 18, "1": 21}, "contracts": {"0": 100}}


@pytest.mark.parametrize("written", [lambda offsets: offsets, json.dumps])
def test_lag_is_what_waits_after_the_batch(written: Any) -> None:
    found = batch_of(event(written(START), written(END), written(LATEST), 5), "contracts")
    assert found == MicroBatch(number=7, records=5, missing=0, lag=4, seconds=0.25)


def test_records_that_kafka_had_no_longer_are_missing() -> None:
    assert batch_of(event(START, END, LATEST, 2), "contracts").missing == 3


def test_holes_of_a_compacted_topic_are_none() -> None:
    assert batch_of(event(START, END, LATEST, 8), "contracts").missing == 0
    assert batch_of(event(START, END, LATEST, 8), None).missing == 97


def test_first_batch_misses_nothing() -> None:
    assert batch_of(event(None, END, LATEST, 5), "contracts").missing == 0


def test_topic_that_was_made_again_has_no_negative_lag() -> None:
    again = {"ticklast": {"0": 0, "1": 0}, "contracts": {"0": 0}}
    found = batch_of(event(END, again, again, 0), "contracts")
    assert (found.missing, found.lag) == (0, 0)
