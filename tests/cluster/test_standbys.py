"""Hot standbys on real pods: whatever happens to a worker, nothing of its contracts is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support import control_plane_faults
from support.cluster import condition, eventually, kubectl, main_process
from support.figures import Figures
from support.small_feed import apply, check, feed
from support.stream import Tap
from support.venue import Venue
from support.worker import below

pytestmark = pytest.mark.timeout(600)
FEED = "doubled"


@pytest.fixture(scope="module", autouse=True)
def _feed() -> Iterator[None]:
    remove_all_feeds()
    apply(FEED, workers=3, standby="Hot")
    wait_ready(FEED)
    yield
    remove_all_feeds()


def _wait_for_standbys() -> None:
    wait_ready(FEED)
    eventually(
        lambda: condition(feed(FEED), "StandbysReady").get("reason") == "AllWarm",
        within=90,
        what="each contract is held ready",
    )


@contextmanager
def _hung(pod: str) -> Iterator[None]:
    process = main_process(NAMESPACE, pod)
    halted = [process, *below(process)]
    try:
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _killed() -> None:
    os.kill(main_process(NAMESPACE, f"{FEED}-0"), signal.SIGKILL)
    time.sleep(5)


def _hangs() -> None:
    with _hung(f"{FEED}-1"):
        time.sleep(25)  # it is known to be lost after 10 s


def _killed_while_no_heir_can_be_named() -> None:
    process = main_process(NAMESPACE, f"{FEED}-2")
    with control_plane_faults.FAULTS["stopped"]():
        time.sleep(10)
        os.kill(process, signal.SIGKILL)
        time.sleep(70)  # longer than a standby holds what comes when the API server is there
    time.sleep(35)  # in which the operator looks around, and the status becomes true again


FAULTS = {"killed": _killed, "hung": _hangs, "killed while the API server is away": _killed_while_no_heir_can_be_named}


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_of_a_worker_that_is_lost_is_lost(name: str, venue: Venue, figures: Figures) -> None:
    _wait_for_standbys()
    shown = kubectl("get", "ibs", "-n", NAMESPACE)
    assert "STANDBYS" in shown.splitlines()[0]
    since = venue.cursor()
    with Tap() as ticks, Tap("feed-events") as events:
        time.sleep(2)
        FAULTS[name]()
        _wait_for_standbys()
        lost = check(ticks, events, venue, FEED, since)
    figures.record(f"hot standby, worker {name}: updates lost", lost, bar=0, unit="")
