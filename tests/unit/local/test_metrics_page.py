"""The metrics: their names and page, and a bound on the series of a feed of 1,000 contracts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import Session
from ibfeed_monitoring import catalogue
from ibfeed_operator import metrics as operator_metrics
from ibfeed_worker.gateway.tail import Sign
from ibfeed_worker.login.page import Outcome
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.stream.connection import End
from support.entries import entry

ROOT = Path(__file__).resolve().parents[3]
EVERY = catalogue.definitions()
PATHS, STATUSES = 12, 8  # of the calls to IB that a worker makes; numbers in a path are no label
KAFKA_REASONS = [reason for reason in Reason if reason.name.startswith(("KAFKA_", "SCHEMA_"))]
NEVER = {"account", "user", "username", "conid", "symbol", "order", "order_id", "contract", "password", "key"}


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def test_the_page_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == catalogue.page(), "make monitoring"


@pytest.mark.parametrize("found", EVERY, ids=lambda found: found.name)
def test_a_name_follows_the_conventions_of_prometheus(found: catalogue.Definition) -> None:
    assert re.fullmatch(r"ibfeed(_[a-z0-9]+)+", found.name)
    assert found.name.endswith("_total") == (found.kind == "counter")
    assert found.kind != "histogram" or found.unit
    assert not re.search("_(milliseconds|ms|minutes|kilobytes|mb)(_|$)", found.name), "base units only"
    assert found.meaning
    assert not NEVER & set(found.labels)


def test_no_name_means_two_things() -> None:
    assert len({found.name for found in EVERY}) == len(EVERY)


def test_series_of_a_worker_do_not_grow_with_its_contracts() -> None:
    registry, streamer = catalogue.worker_registry()
    few = series(registry)
    streamer.obey(tuple(entry(conid, slot=conid) for conid in range(1, 1001)))
    assert registry.get_sample_value("ibfeed_contracts", {"state": "subscribing"}) == 1000
    assert series(registry) == few


def test_series_of_a_worker_that_has_seen_everything_are_bounded() -> None:
    metrics = Metrics()
    session = SessionStatus(metrics, lambda: None)
    for reason in Reason:
        session.set(Session.BACKING_OFF, reason)
    for outcome in Outcome:
        metrics.logins.labels(outcome=outcome.value)
    for sign in Sign:
        metrics.gateway_log_lines.labels(sign=sign.value)
    for end in End:
        metrics.streams_ended.labels(reason=end.value)
    for path in range(PATHS):
        for status in range(STATUSES):
            metrics.rest_calls.labels(path=str(path), status=str(status))
    fresh = series(catalogue.worker_registry()[0]) - series(Metrics().registry)
    assert fresh + len(KAFKA_REASONS) + series(metrics.registry) <= catalogue.MOST_OF_WORKER


def test_a_session_has_one_reason_at_a_time() -> None:
    metrics = Metrics()
    session = SessionStatus(metrics, lambda: None)
    for reason in (Reason.COMPETING, Reason.LOGIN_FAILED):
        session.set(Session.BACKING_OFF, reason)
        (family,) = metrics.session_reason.collect()
        assert [(sample.labels["reason"], sample.value) for sample in family.samples] == [(reason, 1)]
    session.set(Session.STREAMING)
    (family,) = metrics.session_reason.collect()
    assert family.samples == []


def feed_series() -> list[tuple[str, str, str]]:
    return [
        (sample.name, sample.labels.get("condition", ""), sample.labels.get("reason", ""))
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.labels.get("feed") == "bounded"
    ]


def test_series_of_a_feed_are_bounded_and_end_with_it() -> None:
    where = ("metrics-test", "bounded")
    operator_metrics.show_feed(*where)
    for gauge, states in (
        (operator_metrics.CONTRACTS, ("wanted", "assigned", "publishing", "standby")),
        (operator_metrics.WORKERS, ("wanted", "streaming")),
        (operator_metrics.ACCOUNTS, ("configured", "held", "failing", "parked")),
    ):
        for state in states:
            gauge.labels(*where, state).set(1000)
    for reason in Reason:  # one after the other
        operator_metrics.show_conditions(*where, [(condition, "False", reason) for condition in Condition])
        told = [found for found in feed_series() if found[0] == "ibfeed_feed_condition"]
        assert {found[1] for found in told} == set(Condition)
        assert {found[2] for found in told} == {reason}
    assert len(feed_series()) <= catalogue.MOST_OF_FEED
    operator_metrics.forget(*where)
    assert feed_series() == []


def test_series_of_a_sink_are_bounded() -> None:
    assert series(catalogue.sink_registry()) <= catalogue.MOST_OF_SINK
