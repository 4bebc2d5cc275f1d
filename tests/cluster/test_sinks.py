"""A sink to Redis on the real cluster: it writes, it says what fails, it loses nothing, and it leaves nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support.cluster import ROOT, condition, eventually, items, kubectl, owners, read
from support.figures import Figures
from support.small_feed import apply, feed
from support.stream import Tap

pytestmark = pytest.mark.timeout(300)
SINK = "ibsink"
REDIS_POD = "app=hot-store"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    remove_all_feeds()
    yield
    remove_all_feeds()


def sink() -> dict[str, Any]:
    return read(SINK, "latest", NAMESPACE)


def ready_is(status: str, reason: str = "", within: float = 60) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        said = condition(sink(), "Ready")
        return said if said.get("status") == status and said.get("reason", "").startswith(reason) else None

    return eventually(
        found,
        within=within,
        what=f"the sink's Ready is {status} {reason}: {sink().get('status', {}).get('conditions')}",
    )


def redis_cli(*words: str) -> list[str]:
    command = ["redis-cli", "-a", "try-it-out", "--no-auth-warning", *words]
    return kubectl("exec", "deploy/hot-store", "-n", NAMESPACE, "--", *command).split("\n")


def latest(symbol: str) -> dict[str, str]:
    lines = redis_cli("HGETALL", f"ibfeed:small:tick:{symbol}")
    return dict(zip(lines[::2], lines[1::2], strict=False))


def password(value: str) -> None:
    kubectl("patch", "secret", "hot-store", "-n", NAMESPACE, "-p", json.dumps({"stringData": {"password": value}}))


def started(kind: str) -> list[tuple[str, int]]:
    """The feed's pods with their restarts."""
    pods = items("pods", NAMESPACE, f"ibfeed.dev/feed={kind}")
    return [(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods]


def test_a_sink_from_its_start_through_failures_to_its_end(figures: Figures) -> None:
    begun = time.monotonic()
    example = (ROOT / "examples" / "downstream.yaml").read_text()
    assert example.count("name: energy") == 1
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=example.replace("name: energy", "name: small"))
    said = ready_is("False", "FeedNotFound", within=30)
    assert "there is no IbFeed small in namespace default: create it" in said["message"]

    apply("small", workers=1)
    wait_ready("small")
    feed_before = started("small")
    ready_is("True", "Writing", within=90)
    figures.record("a sink, from its feed's start until it is Ready", time.monotonic() - begun, bar=180)
    symbols = [contract["symbol"] for contract in feed("small")["status"]["contracts"]]
    eventually(lambda: all(latest(symbol).get("price") for symbol in symbols), within=30, what="each symbol has a hash")
    # The first records had waited in Kafka, for the sink came later than the topics.
    eventually(lambda: condition(sink(), "OnTime")["status"] == "True", within=90, what="new records are in time")
    status = sink()["status"]
    assert status["lag"] is not None
    assert status["rows"] > 0
    figures.record("p99 from IB to Redis as the status tells it", status["latencyP99Ms"] / 1000, bar=6)

    _redis_stops_and_comes_back(symbols, figures)
    _a_wrong_password_is_told()

    assert owners(feed("small")), "the feed has all of its contracts"
    assert condition(feed("small"), "Ready")["status"] == "True"
    assert started("small") == feed_before, "no worker was restarted"
    kubectl("delete", "ibk", "latest", "-n", NAMESPACE)
    eventually(
        lambda: not [o for kind in ("deployments", "roles", "serviceaccounts") for o in _of_the_sink(kind)],
        within=60,
        what="nothing of the sink is left",
    )
    assert started("small") == feed_before


def _of_the_sink(kind: str) -> list[dict[str, Any]]:
    return items(kind, NAMESPACE, "ibfeed.dev/sink=latest")


def _redis_stops_and_comes_back(symbols: list[str], figures: Figures) -> None:
    with Tap() as ticks:
        stopped = time.monotonic()
        kubectl("scale", "deploy/hot-store", "-n", NAMESPACE, "--replicas=0")
        said = ready_is("False", "DestinationFailing", within=30)
        figures.record("Redis away, until the sink says so", time.monotonic() - stopped, bar=30)
        assert "Redis at redis://hot-store:6379/0 fails" in said["message"]
        kubectl("scale", "deploy/hot-store", "-n", NAMESPACE, "--replicas=1")
        back = time.monotonic()
        ready_is("True", within=90)
        figures.record("Redis back, until the sink is Ready", time.monotonic() - back, bar=60)
        newest = {
            records[-1].value["symbol"]: int(records[-1].value["seq"]) for records in ticks.by_contract().values()
        }
    # That Redis began empty. The records that Kafka still has are written again.
    assert {symbol for symbol in newest if symbol in symbols}
    for symbol in symbols:
        eventually(
            lambda symbol=symbol: int(latest(symbol).get("seq") or 0) >= newest.get(symbol, 1),  # type: ignore[misc]
            within=30,
            what=f"{symbol} has what came while Redis was away",
        )


def _a_wrong_password_is_told() -> None:
    password("wrong")
    kubectl("rollout", "restart", "deploy/latest-sink", "-n", NAMESPACE)
    said = ready_is("False", "DestinationRefused", within=60)
    assert "refuses the user" in said["message"]
    assert "wrong" not in said["message"].replace("wrong password", "")
    password("try-it-out")
    kubectl("rollout", "restart", "deploy/latest-sink", "-n", NAMESPACE)
    ready_is("True", within=90)
