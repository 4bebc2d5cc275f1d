"""A gateway distribution from its start through hand-over, crash, reset and each fault of a session.

Everything is real but IB: the venue of the simulator stands behind the gateway. In order: later tests go on with the
feed that the first one has applied.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from cluster.conftest import NAMESPACE, wait_ready
from gateway.conftest import FEED, WORKERS, kill_gateway, manifest, status, worker
from support.cluster import eventually, is_ready, kill_container, kubectl, owners, read
from support.figures import Figures
from support.stream import Tap
from support.truth import Comparison, compare
from support.venue import Venue

FREEZES = int(os.environ.get("IBFEED_FREEZES", "1"))  # five take four minutes

pytestmark = pytest.mark.timeout(300 + 60 * FREEZES)


def ready() -> bool:
    return is_ready(read("ibfeed", FEED, NAMESPACE))


class Watched:
    """A stretch of the stream; ``result`` is there once it is over."""

    result: Comparison


@contextmanager
def watched(venue: Venue) -> Iterator[Watched]:
    """Compare what Kafka has of the time in between with what the venue sent."""
    since, watch = venue.cursor(), Watched()
    with Tap() as ticks, Tap("feed-events") as events:
        time.sleep(2)
        yield watch
        time.sleep(2)
        until_ms = venue.now_ms() - 1500
        time.sleep(2)
        slots = {contract["conid"]: contract["slot"] for contract in status()["contracts"]}
        gaps = [record.value for record in events.records() if record.value["kind"] == "gap"]
        watch.result = compare(ticks.by_contract(), venue.updates(since), slots, until_ms=until_ms, gaps=gaps)


def user_of(venue: Venue, number: int) -> str:
    """The venue's name for the user whose account a worker has."""
    return f"paper{worker(number)['account']}"


def contract() -> tuple[str, int, int]:
    """Symbol, conid and worker of one. A worker that was lost again and again may have none for a while."""
    found = status()["contracts"][0]
    return found["symbol"], found["conid"], int(found["worker"].removeprefix(f"{FEED}-"))


def reasons(number: int) -> set[str]:
    """Every reason that a worker's process has given for a state of its session."""
    log = kubectl("logs", "-n", NAMESPACE, f"{FEED}-{number}", "-c", "worker")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return {line.get("reason", "") for line in lines if line.get("event") == "session"}


def test_apply_to_ready(figures: Figures) -> None:
    begun = time.monotonic()
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(manifest()))
    wait_ready(FEED)
    figures.record("gateway: apply to Ready", time.monotonic() - begun, bar=45)


def test_each_update_is_on_kafka_once(venue: Venue) -> None:
    with watched(venue) as watch:
        time.sleep(15)
    assert (watch.result.sent > 100, watch.result.missing) == (True, 0)


def test_hand_over_loses_and_doubles_nothing(venue: Venue) -> None:
    with watched(venue) as watch:
        kubectl("annotate", f"ibs/{FEED}-1", "-n", NAMESPACE, "ibfeed.dev/drain=true")
        eventually(
            lambda: set(owners(read("ibfeed", FEED, NAMESPACE)).values()) == {f"{FEED}-0"},
            within=30,
            what="all at one worker",
        )
        kubectl("annotate", f"ibs/{FEED}-1", "-n", NAMESPACE, "ibfeed.dev/drain-")
        eventually(
            lambda: ready() and [s["contracts"] for s in status()["shards"]] == [3, 3],
            within=30,
            what="each has its share again",
        )
        time.sleep(10)  # both moves took so little that hardly anything was sent meanwhile
    assert (watch.result.sent > 100, watch.result.missing) == (True, 0)


@pytest.mark.parametrize("death", ["gateway", "container"])
def test_killed_the_same_worker_streams_again(venue: Venue, figures: Figures, death: str) -> None:
    logins = venue.state()["users"][user_of(venue, 0)]["logins"]
    with watched(venue) as watch:
        begun, before = time.monotonic(), worker(0)["startedAt"]
        if death == "gateway":
            kill_gateway(0)
            eventually(lambda: worker(0)["session"] != "Streaming", within=15, what="its death is noticed")
        else:
            kill_container(NAMESPACE, f"{FEED}-0")
            eventually(lambda: worker(0)["startedAt"] != before, within=30, what="another process")
        eventually(lambda: worker(0)["session"] == "Streaming", within=90, what="it streams again")
        figures.record(f"gateway: kill -9 of the {death}, until it streams", time.monotonic() - begun, bar=60)
        assert "Competing" not in reasons(0), "its own dead session is no stranger"
        wait_ready(FEED)
    assert watch.result.untold == 0
    assert venue.state()["users"][user_of(venue, 0)]["logins"] == logins + 1


# What a session meets; for how many seconds; the reason that the worker must give, if any; the most logins that follow.
FAULTS: dict[str, tuple[dict[str, Any], float, str, int]] = {
    "drop_websocket": ({}, 0, "SessionLost", 0),
    "abort_websocket": ({}, 0, "SessionLost", 0),
    "expire_brokerage": ({}, 0, "SessionLost", 0),
    "expire_sso": ({}, 0, "", 1),
    "tickle_401": ({"count": 1}, 0, "", 0),
    "tickle_503": ({}, 40, "", 0),
    "no_session": ({"count": 1}, 0, "", 0),
    "maintenance": ({}, 40, "", 1),
    "hang": ({}, 40, "", 1),
    "slow": ({"value": 2}, 20, "", 0),
    "garbage_rest": ({}, 20, "", 0),
    "garbage_frame": ({}, 0, "", 0),
    "non_utf8_frame": ({}, 0, "", 0),
    "big_frame": ({}, 0, "SessionLost", 0),
    "no_heartbeat": ({}, 40, "SessionLost", 0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_session_passes(venue: Venue, fault: str) -> None:
    """Nothing is lost untold, at most one login follows, and the feed is Ready again by itself."""
    details, lasts, reason, most_logins = FAULTS[fault]
    wait_ready(FEED)
    user = user_of(venue, 0)
    logins = venue.state()["users"][user]["logins"]
    with watched(venue) as watch:
        venue.fault(fault, username=user, **details)
        time.sleep(max(lasts, 3))
        venue.heal(user)
        eventually(lambda: worker(0)["session"] == "Streaming" and ready(), within=90, what="Ready again")
    assert watch.result.untold == 0
    assert venue.state()["users"][user]["logins"] <= logins + most_logins
    assert not reason or reason in reasons(0)


def test_a_session_taken_by_somebody_is_left_to_them(venue: Venue) -> None:
    wait_ready(FEED)
    user = user_of(venue, 0)
    with watched(venue) as watch:
        venue.fault("compete", username=user)
        eventually(lambda: worker(0)["reason"] == "Competing", within=45, what="it says so")
        eventually(
            lambda: set(owners(read("ibfeed", FEED, NAMESPACE)).values()) == {f"{FEED}-1"},
            within=30,
            what="the other one has all",
        )
        venue.fault("yield", username=user)
        eventually(lambda: worker(0)["session"] == "Streaming" and ready(), within=120, what="it is back by itself")
    assert watch.result.untold == 0


def test_a_frozen_contract_is_found(venue: Venue, figures: Figures) -> None:
    wait_ready(FEED)
    time.sleep(30)  # its pace must be known
    symbol, conid, number = contract()
    with watched(venue) as watch, Tap() as tap:
        for _ in range(FREEZES):
            venue.fault("freeze", username=user_of(venue, number), value=conid)
            begun, moment = time.monotonic(), time.time()
            eventually(lambda: symbol in _message("Covered"), within=60, what="Covered names it")
            figures.record("gateway: frozen contract, until kubectl says so", time.monotonic() - begun, bar=35)
            eventually(partial(tap.first_after, [conid], moment + 2), within=60, what="it streams again")
            figures.record("gateway: frozen contract, until it streams", time.monotonic() - begun, bar=45)
            wait_ready(FEED)
    assert watch.result.untold == 0


def test_a_refused_subscription_is_named(venue: Venue, figures: Figures) -> None:
    wait_ready(FEED)
    symbol, conid, number = contract()
    for each in range(WORKERS):
        venue.fault("refuse_subscription", username=user_of(venue, each), value=str(conid))
    venue.fault("drop_websocket", username=user_of(venue, number))
    eventually(lambda: worker(number)["session"] == "Streaming", within=30, what="it subscribes again")
    begun = time.monotonic()
    eventually(
        lambda: symbol in (text := _message("Covered")) and "No contract found" in text,
        within=30,
        what="Covered names it",
    )
    figures.record("gateway: refused subscription, until it is named", time.monotonic() - begun, bar=5)
    venue.heal()
    eventually(ready, within=120, what="asked again, it streams")


def test_a_daily_reset_is_survived(venue: Venue) -> None:
    wait_ready(FEED)
    with watched(venue) as watch:
        venue.fault("daily_reset", value=30)
        eventually(lambda: not ready(), within=60, what="the sessions are gone")
        eventually(ready, within=240, what="Ready again")
    assert watch.result.untold == 0
    assert all("parked" not in json.dumps(lease["metadata"].get("annotations", {})) for lease in _leases())


def test_delete_logs_out(venue: Venue) -> None:
    kubectl("delete", "ibfeed", FEED, "-n", NAMESPACE, "--wait=false")
    eventually(lambda: not venue.logged_in(), within=60, what="each session is logged out")


def _message(kind: str) -> str:
    return next((c["message"] for c in status()["conditions"] if c["type"] == kind and c["status"] == "False"), "")


def _leases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        kubectl("get", "leases", "-n", NAMESPACE, "-l", "ibfeed.dev/account-source", "-o", "json")
    )["items"]
    return found
