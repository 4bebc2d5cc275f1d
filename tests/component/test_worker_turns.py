"""Four workers that want to log in at once: at their first start, and after IB has ended all sessions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

from ibfeed_worker.account.login_slots import SPACING
from support.cluster import eventually
from support.figures import Figures
from support.simulator import Venue
from support.worker import Stage, Worker

WORKERS = 4


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    with Venue(tmp_path_factory.mktemp("venue"), accounts=WORKERS) as running:
        yield running


@pytest.fixture
def workers(venue: Venue, gateway_folder: Path, tmp_path: Path) -> Iterator[list[Worker]]:
    with Stage(venue, gateway_folder, tmp_path) as stage, contextlib.ExitStack() as stack:
        stage.add_turns()
        yield [stack.enter_context(stage.worker(index + 1, number=index)) for index in range(WORKERS)]


def logins(venue: Venue, since: float) -> list[float]:
    """When each user's present session began, as the venue tells; only of those that began after ``since``."""
    now, users = time.time(), venue.state()["users"].values()
    ages = [session["age_seconds"] for user in users for session in user["sessions"]]
    return sorted(now - age for age in ages if now - age > since)


def test_one_logs_in_after_the_other(workers: list[Worker], venue: Venue, figures: Figures) -> None:
    begun = time.time()
    for worker in workers:
        worker.until("Streaming", within=60)
    figures.record("4 workers start at once: until all stream", time.time() - begun, bar=40)
    check(workers, logins(venue, 0.0), 0.0, figures, "4 workers start at once")

    lost = time.time()
    venue.fault("expire_sso")
    eventually(lambda: len(logins(venue, lost)) == WORKERS, within=60, what="all are logged in again")
    for worker in workers:
        worker.until("Streaming", within=30)
    figures.record("4 sessions end at once: until all stream", time.time() - lost, bar=40)
    check(workers, logins(venue, lost), lost, figures, "4 sessions end at once")

    alone = time.time()
    user = venue.credentials["username-3"]
    venue.fault("expire_sso", username=user)
    eventually(lambda: len(logins(venue, alone)) == 1, within=30, what="the only one that was lost logs in")
    figures.record("1 session ends: until its next login", logins(venue, alone)[0] - alone, bar=15)
    begins = [event for event in workers[2].events() if event["event"] == "login begins"]
    assert begins[-1]["waited"] == 0.0, "it waited for nobody"


def check(workers: list[Worker], moments: list[float], since: float, figures: Figures, what: str) -> None:
    begun = sorted(
        datetime.fromisoformat(event["time"]).timestamp()
        for worker in workers
        for event in worker.events()
        if event["event"] == "login begins"
    )
    begun = [moment for moment in begun if moment > since]
    assert len(begun) == WORKERS
    assert min(second - first for first, second in pairwise(begun)) > SPACING.total_seconds() - 0.3
    # The browser's start takes one a little longer than another.
    close = [first for first, second in pairwise(moments) if second - first < 0.5]
    figures.record(f"{what}: logins within half a second of another at IB", len(close), bar=0, unit="")
    figures.record(f"{what}: from the first login to the last", moments[-1] - moments[0], bar=4 * WORKERS)
