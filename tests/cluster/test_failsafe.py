"""The stream outlives the API server: real pods, and an API server that is stopped, killed, or cut off from one pod."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support import control_plane_faults
from support.cluster import eventually, items, main_process, owners
from support.figures import Figures
from support.network_faults import API_SERVER, dropped
from support.small_feed import apply, check, feed
from support.stream import Tap
from support.venue import Venue
from support.worker import below

pytestmark = pytest.mark.timeout(600)
FEED = "lasting"
AWAY_S = 25.0  # three times the 8 s after which a worker would fence itself


@pytest.fixture(scope="module", autouse=True)
def _feed() -> Iterator[None]:
    remove_all_feeds()
    apply(FEED, workers=3)
    wait_ready(FEED)
    eventually(_members_are_named, within=60, what="each Lease names its members")
    yield
    remove_all_feeds()


def _members_are_named() -> bool:
    leases = items("leases", NAMESPACE, "ibfeed.dev/account-source")
    held = [lease for lease in leases if lease["spec"].get("holderIdentity")]
    return len(held) == 3 and all(
        lease["metadata"].get("annotations", {}).get("ibfeed.dev/failsafe-members", "").count('"name"') == 3
        for lease in held
    )


def _lost(fault: AbstractContextManager[None], venue: Venue) -> tuple[int, int]:
    """Return the updates that were lost, and the logins that there were, in a fault and after it."""
    logins, since = _logins(venue), venue.cursor()
    before = owners(feed(FEED))
    with Tap() as ticks, Tap("feed-events") as events:
        with fault:
            time.sleep(AWAY_S)
        time.sleep(12)  # whoever would be judged, would be by now
        wait_ready(FEED)
        assert owners(feed(FEED)) == before
        return check(ticks, events, venue, FEED, since), _logins(venue) - logins


def _logins(venue: Venue) -> int:
    return sum(int(user["logins"]) for user in venue.state()["users"].values())


@pytest.mark.parametrize("name", control_plane_faults.FAULTS)
def test_while_nobody_reaches_the_api_server_all_goes_on(name: str, venue: Venue, figures: Figures) -> None:
    lost, logins = _lost(control_plane_faults.FAULTS[name](), venue)
    figures.record(f"API server {name} for {AWAY_S:g} s: updates lost", lost, bar=0, unit="")
    assert (lost, logins) == (0, 0)


def test_a_worker_that_is_cut_off_alone_goes_on(venue: Venue, figures: Figures) -> None:
    lost, logins = _lost(dropped(f"{FEED}-1", *API_SERVER), venue)
    figures.record("cut off from the API server alone: updates lost", lost, bar=0, unit="")
    assert (lost, logins) == (0, 0)


def test_what_a_hung_worker_had_goes_on(figures: Figures) -> None:
    """The kernel's timer ends it 9 s after its last renewal, and its lifeline tells that it has ended."""
    victim = f"{FEED}-2"
    mine = [conid for conid, worker in owners(feed(FEED)).items() if worker == victim]
    assert mine
    process = main_process(NAMESPACE, victim)
    halted = [process, *below(process)]
    with Tap() as ticks:
        moment = time.time()
        try:
            for pid in halted:
                os.kill(pid, signal.SIGSTOP)
            gone_on = eventually(
                lambda: found if len(found := ticks.first_after(mine, moment + 3)) == len(mine) else None,
                within=40,
                what="what the hung worker had goes on elsewhere",
            )
            figures.record("hung worker, until the others publish", max(gone_on.values()) - moment, bar=15)
        finally:
            for pid in halted:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
    wait_ready(FEED)
