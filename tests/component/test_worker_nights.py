"""Scheduled logins of a real worker, with a session's life of half a minute. The test is its operator."""

from __future__ import annotations

import time
from typing import Any

from support import short_nights
from support.cluster import eventually
from support.figures import Figures
from support.stream import Tap
from support.worker import Stage, Worker, entry

LIFE_S = 40
NIGHTS: dict[str, Any] = {"program": [short_nights.__file__], "environment": {"SESSION_SECONDS": str(LIFE_S)}}


def publishing(worker: Worker) -> set[int]:
    return {one["conid"] for one in worker.status().get("contracts", []) if one["state"] == "publishing"}


def assign(worker: Worker, contracts: list[dict[str, Any]], *, epoch: int = 1, state: str = "Active") -> None:
    entries = [entry(contract, slot=slot, epoch=epoch, state=state) for slot, contract in enumerate(contracts)]
    worker.give(1, entries)


def test_relieved_it_logs_out_and_in_and_is_given_its_contracts_back(stage: Stage, figures: Figures) -> None:
    with stage.worker(**NIGHTS) as worker:
        worker.until("Streaming")
        contracts = worker.resolve("CL", 3).json()["contracts"]
        conids = {contract["conid"] for contract in contracts}
        assign(worker, contracts)
        eventually(lambda: publishing(worker) == conids, within=15, what="publishing")
        user = stage.venue.user()
        worker.until("Streaming", reason="ReloginDue", within=LIFE_S)
        time.sleep(2)
        assert publishing(worker) == conids, "it streams until it is relieved"
        assert stage.venue.user()["logins"] == user["logins"]
        assign(worker, contracts, state="Retiring")
        begun = time.monotonic()
        status = worker.until("LoggingIn", reason="ReloginDue", within=15)
        assert {one["state"] for one in status["contracts"]} == {"released"}
        worker.until("Streaming", reason="", within=30)
        figures.record("worker: scheduled login, from relieved to streaming", time.monotonic() - begun, bar=20)
        after = stage.venue.user()
        assert (after["logins"], after["logouts"]) == (user["logins"] + 1, user["logouts"] + 1)
        with Tap(stage.topics.ticklast.name) as tap:
            assign(worker, contracts, epoch=2)
            eventually(lambda: publishing(worker) == conids, within=15, what="publishing again")
            eventually(lambda: set(tap.by_contract()) == conids, within=10, what="ticks on Kafka")


def test_nobody_relieves_it_and_it_logs_in_anew_before_ib_ends_the_session(stage: Stage) -> None:
    with stage.worker(**NIGHTS) as worker:
        worker.until("Streaming")
        contracts = worker.resolve("CL", 3).json()["contracts"]
        conids = {contract["conid"] for contract in contracts}
        assign(worker, contracts)
        logins = stage.venue.user()["logins"]
        worker.until("Streaming", reason="ReloginDue", within=LIFE_S)
        age = 0.0
        while stage.venue.user()["logins"] == logins:
            age = max([age, *(session["age_seconds"] for session in stage.venue.user()["sessions"])])
            time.sleep(0.2)
        # The venue counts from the password on, the worker from the page that says so: what MARGIN is for.
        assert LIFE_S - 8 < age < LIFE_S + 5, "neither early nor late"
        with Tap(stage.topics.ticklast.name) as tap:
            worker.until("Streaming", reason="", within=30)
            eventually(lambda: publishing(worker) == conids, within=15, what="publishing again")
            eventually(lambda: set(tap.by_contract()) == conids, within=10, what="ticks on Kafka")


def test_told_to_stop_while_it_waits_to_be_relieved(stage: Stage) -> None:
    with stage.worker(**NIGHTS) as worker:
        worker.until("Streaming")
        contracts = worker.resolve("CL", 1).json()["contracts"]
        assign(worker, contracts)
        worker.until("Streaming", reason="ReloginDue", within=LIFE_S)
        logins = stage.venue.user()["logins"]
        worker.tell_to_stop()
        worker.until("Streaming", reason="Leaving", within=20)
        worker.give(1)
        worker.wait()
        assert (stage.venue.user()["logins"], stage.venue.user()["logged_in"]) == (logins, False)
