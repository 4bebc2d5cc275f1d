"""A worker from its start to its end: account, gateway, login, stream, Kafka, and back."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from support.cluster import eventually, kubectl
from support.figures import Figures
from support.forwarder import Forwarder, api_server
from support.stream import Tap
from support.worker import Stage, Worker, below, entry


def secrets_of(stage: Stage) -> list[str]:
    return [value for key, value in stage.venue.credentials.items() if key.startswith("password")]


def with_contracts(worker: Worker, root: str = "CL", months: int = 3) -> dict[int, str]:
    """Resolve a root through the worker and assign it the contracts: conid to symbol."""
    answer = worker.resolve(root, months)
    assert answer.status_code == 200, answer.text
    contracts = answer.json()["contracts"]
    assign(worker, contracts)
    return {contract["conid"]: contract["symbol"] for contract in contracts}


def assign(worker: Worker, contracts: list[dict[str, Any]], state: str = "Active") -> None:
    worker.give(1, [entry(contract, slot=slot, state=state) for slot, contract in enumerate(contracts)])


def publishing(worker: Worker) -> list[int]:
    return [one["conid"] for one in worker.status().get("contracts", []) if one["state"] == "publishing"]


def test_gateway_logs_no_frame_and_no_cookie(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming", within=30)
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="all contracts publishing")
        (logs,) = worker.run_folder.glob("gateway/home/logs")
        text = "".join(path.read_text() for path in logs.iterdir())
        assert "/tickle" in text
        assert "smd+" not in text
        assert "XYZAB" not in text


def test_log_level_changes_without_a_restart(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming", within=30)
        started = worker.status()["startedAt"]
        assert '"level": "debug"' not in worker.log.read_text()
        worker.patch({"logLevel": "Debug"})
        eventually(lambda: '"event": "asked the API server"' in worker.log.read_text(), within=15, what="debug lines")
        worker.patch({"logLevel": "Warning"})
        worker.patch({"logLevel": "Info"})
        assert worker.status()["startedAt"] == started
        assert all(secret not in worker.log.read_text() for secret in secrets_of(stage))


def test_from_start_to_ticks_and_back(stage: Stage, figures: Figures) -> None:
    before, begun = stage.venue.user()["logouts"], time.monotonic()
    with stage.worker() as worker:
        status = worker.until("Streaming", within=30)
        # 20 s on a machine of its own; here two other tests have the two cores as well.
        figures.record("worker: start to streaming", time.monotonic() - begun, bar=30)
        assert status["account"] == 1
        assert status["startedAt"]
        assert stage.lease()["spec"]["holderIdentity"] == f"{worker.name}_{worker.uid}"
        assert (worker.probe("/healthz"), worker.probe("/readyz")) == (200, 200)

        assigned = with_contracts(worker)
        assert all(symbol.startswith("CL") for symbol in assigned.values())
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="all contracts publishing")
        status = worker.status()
        assert status["kafka"] == {"reachable": True, "reason": "", "message": ""}
        assert (status["contractCount"], status["lines"]) == (3, "3/100")
        with Tap(stage.topics.ticklast.name) as tap:
            eventually(lambda: set(tap.by_contract()) == set(assigned), within=10, what="ticks on Kafka")
        assert 'ibfeed_session{state="Streaming"} 1.0' in worker.metrics()

        lines = worker.metrics().splitlines()
        memory = next(float(line.split()[1]) for line in lines if line.startswith("process_resident_memory_bytes"))
        figures.record("worker: resident memory of its Python", memory / 2**20, bar=120, unit="MiB")

        pids = below(worker.pid)
        contracts = worker.resolve("CL", 3).json()["contracts"]
        told = time.monotonic()
        worker.tell_to_stop()
        worker.until("Streaming", reason="Leaving", within=20)
        assign(worker, contracts, "Retiring")  # the operator: nobody else is there
        worker.wait()
        figures.record("worker: stop on SIGTERM", time.monotonic() - told, bar=15)
        user = stage.venue.user()
        assert (user["logged_in"], user["logouts"]) == (False, before + 1)
        assert stage.lease()["spec"]["holderIdentity"] == ""
        final = worker.status()
        assert final["session"] == "Stopped"
        assert {one["state"] for one in final["contracts"]} == {"released"}
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "nothing is left behind"
        assert not worker.run_folder.exists()


def test_told_to_stop_it_streams_on_until_its_contracts_are_gone(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        worker.tell_to_stop()
        worker.until("Streaming", reason="Leaving", within=20)
        with Tap(stage.topics.ticklast.name) as tap:
            time.sleep(3)
            assert set(tap.by_contract()) == set(assigned), "all still come"
        assert (worker.probe("/readyz"), set(publishing(worker))) == (200, set(assigned))
        told = time.monotonic()
        worker.give(1)  # the operator: others publish them
        worker.wait()
        assert time.monotonic() - told < 8


@pytest.mark.parametrize("hurry", ["told twice", "no shard"])
def test_told_to_stop_it_does_not_wait_for_what_will_not_come(stage: Stage, hurry: str) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        worker.tell_to_stop()
        worker.until("Streaming", reason="Leaving", within=20)
        told = time.monotonic()
        if hurry == "told twice":
            worker.tell_to_stop()
        else:
            kubectl("delete", "ibshard", worker.name, "-n", stage.namespace)
        worker.wait()
        assert time.monotonic() - told < 8
    assert not stage.venue.user()["logged_in"]


def test_told_to_stop_while_the_operator_is_away_it_releases_in_the_end(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        assert 15 < worker.stop() < 25
        assert {(one["state"], "eventTime" in one) for one in worker.status()["contracts"]} == {("released", True)}


def test_no_secret_is_seen_anywhere(stage: Stage) -> None:
    secrets = secrets_of(stage)
    seen: list[str] = []
    with stage.worker() as worker:
        while worker.status().get("session") != "Streaming":
            for pid in [worker.pid, *below(worker.pid)]:
                for name in ("cmdline", "environ"):
                    try:
                        seen.append(Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"))
                    except OSError:
                        continue
            assert len(seen) < 100_000
        seen += [worker.log.read_text(), str(worker.status()), str(stage.lease()), worker.metrics()]
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core")] == ["0"]
        cookies = [one["session"] for one in stage.venue.user()["sessions"]]
    assert any("chromium" in text for text in seen), "the login's processes were looked at"
    for secret in [*secrets, *cookies]:
        assert not [text for text in seen if secret in text]


@pytest.mark.parametrize("fault", ["wrong_password", "locked", "second_factor", "page_changed"])
def test_no_secret_is_seen_of_a_login_that_fails(stage: Stage, fault: str) -> None:
    stage.venue.fault(fault)
    with stage.worker() as worker:
        eventually(lambda: worker.status().get("session") in ("BackingOff", "Parked"), within=60, what="a failure")
        events = kubectl("get", "events", "-n", stage.namespace, "-o", "json")
        seen = [worker.log.read_text(), str(worker.status()), str(stage.lease()), worker.metrics(), events]
        left = [path.read_bytes() for path in worker.run_folder.rglob("*") if path.is_file()]
    stage.venue.fault("unlock")
    assert "login" in seen[0]
    secrets = [*secrets_of(stage), stage.venue.credentials["username-1"]]
    for secret in secrets:
        assert not [text for text in seen if secret in text]
        assert not [content for content in left if secret.encode() in content], "nor in a file"


def test_a_taken_port_is_named_and_used_once_it_is_free(stage: Stage) -> None:
    with stage.worker() as other:  # for its port only
        other.until("Streaming")
        other.stop()
        with socket.create_server(("127.0.0.1", other.gateway_port)):
            other.start()
            status = other.until("BackingOff", reason="GatewayPortTaken", within=20)
            assert str(other.gateway_port) in status["message"]
        other.until("Streaming", within=60)


def test_a_dropped_websocket_costs_seconds_and_no_login(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        logins = stage.venue.user()["logins"]
        with Tap(stage.topics.ticklast.name) as tap:
            stage.venue.fault("drop_websocket")
            dropped = time.time()
            eventually(
                lambda: set(tap.first_after(assigned, dropped + 0.5)) == set(assigned), within=10, what="ticks again"
            )
        assert stage.venue.user()["logins"] == logins


def test_a_lost_brokerage_session_is_opened_again_without_a_login(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        logins = stage.venue.user()["logins"]
        with Tap(stage.topics.ticklast.name) as tap:
            stage.venue.fault("expire_brokerage")
            lost = time.time()
            eventually(
                lambda: set(tap.first_after(assigned, lost + 1.0)) == set(assigned), within=20, what="ticks again"
            )
        assert stage.venue.user()["logins"] == logins


@pytest.mark.parametrize("loss", ["expire_sso", "gateway killed"])
def test_what_only_a_login_repairs_is_repaired_by_one(stage: Stage, loss: str) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        logins = stage.venue.user()["logins"]
        if loss == "expire_sso":
            stage.venue.fault("expire_sso")
        else:
            os.kill(next(iter(gateway_of(worker))), signal.SIGKILL)
        eventually(lambda: stage.venue.user()["logins"] == logins + 1, within=30, what="a login")
        worker.until("Streaming")


def test_a_refused_tickle_beside_a_stream_costs_nothing(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="all contracts publishing")
        logins = stage.venue.user()["logins"]
        stage.venue.fault("tickle_401", username=stage.venue.credentials["username-1"])
        worker.until("Streaming", reason="SessionDenied", within=70)
        stage.venue.clear()
        worker.until("Streaming", reason="", within=40)
        assert stage.venue.user()["logins"] == logins
        assert set(publishing(worker)) == set(assigned)
        ended = [event for event in worker.events() if event.get("event") == "the stream ended"]
        assert ended == []


@pytest.mark.parametrize("death", ["gateway", "container"])
def test_its_own_dead_session_is_no_stranger(stage: Stage, death: str) -> None:
    with stage.worker() as worker:
        before = worker.until("Streaming")
        if death == "gateway":
            os.kill(next(iter(gateway_of(worker))), signal.SIGKILL)
            eventually(lambda: "GatewayDied" in said(worker), within=10, what="its death is noticed")
        else:
            worker.kill()
            worker.start()
            eventually(lambda: worker.status()["startedAt"] != before["startedAt"], within=10, what="another process")
        worker.until("Streaming", within=30)
        assert "Competing" not in said(worker)
        assert stage.lease()["metadata"]["annotations"].get("ibfeed.dev/session-open")
        worker.stop()
        assert "ibfeed.dev/session-open" not in stage.lease()["metadata"].get("annotations", {})


@pytest.mark.parametrize("stranger", [False, True], ids=["its own", "a stranger's"])
def test_whose_session_competes_is_known_although_ib_refused_the_logout(stage: Stage, stranger: bool) -> None:
    whom = {"username": stage.venue.credentials["username-1"]}
    with stage.worker(accounts={"compete_backoff_seconds": 3600}) as worker:
        worker.until("Streaming")
        logins = stage.venue.user()["logins"]
        stage.venue.fault("unauthorized", **whom)
        stage.venue.fault("compete" if stranger else "drop_websocket", **whom)
        eventually(lambda: stage.venue.user()["logins"] == logins + 1, within=30, what="another login")
        stage.venue.clear()
        if stranger:
            worker.until("BackingOff", reason="Competing", within=45)
        else:
            worker.until("Streaming", within=30)
            assert "Competing" not in said(worker)


def said(worker: Worker) -> set[str]:
    """Every reason that it has given for a state of its session."""
    return {event["reason"] for event in worker.events() if event["event"] == "session"}


def gateway_of(worker: Worker) -> list[int]:
    words = ["ibfeed_simulator", "gateway"]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in below(worker.pid)}
    return [pid for pid, command in commands.items() if all(word in command for word in words)]


def test_a_competing_session_is_left_alone(stage: Stage) -> None:
    with stage.worker(accounts={"compete_backoff_seconds": 3600}) as worker:
        worker.until("Streaming")
        logins = stage.venue.user()["logins"]
        stage.venue.fault("compete", username=stage.venue.credentials["username-1"])
        status = worker.until("BackingOff", reason="Competing", within=45)
        assert "next try at" in status["message"]
        assert "End it there, give the feed an account of its own, or set accounts.compete" in status["message"]
        time.sleep(3)
        assert stage.venue.user()["logins"] == logins
        worker.kill()
        worker.start()
        eventually(lambda: worker.status()["startedAt"] != status["startedAt"], within=20, what="another process")
        worker.until("BackingOff", reason="Competing", within=45)
        time.sleep(3)
        assert stage.venue.user()["logins"] == logins, "a new process does not begin to fight"


def test_a_deleted_shard_ends_the_session_and_its_return_begins_one(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        kubectl("delete", "ibshard", worker.name, "-n", stage.namespace)
        eventually(lambda: not stage.venue.user()["logged_in"], within=15, what="logged out")
        eventually(lambda: stage.lease()["spec"]["holderIdentity"] == "", within=10, what="account freed")
        worker.give(1)
        worker.until("Streaming")


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_a_deleted_feed_takes_shard_and_pod_together_and_logs_out_all_the_same(stage: Stage, pause: float) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        before = stage.venue.user()["logouts"]
        kubectl("delete", "ibshard", worker.name, "-n", stage.namespace)
        time.sleep(pause)
        worker.stop()
    user = stage.venue.user()
    assert (user["logged_in"], user["logouts"]) == (False, before + 1)


def test_another_account_is_used_when_it_is_given(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        worker.give(2)
        eventually(lambda: stage.venue.user(2)["logged_in"], within=30, what="account 2 logged in")
        assert worker.until("Streaming")["account"] == 2
        assert not stage.venue.user(1)["logged_in"]
        assert stage.lease(1)["spec"]["holderIdentity"] == ""


def test_the_account_is_given_up_when_its_lease_is_lost(stage: Stage) -> None:
    with stage.worker() as worker:
        worker.until("Streaming")
        taken = {"spec": {"holderIdentity": "somebody-else"}}
        kubectl(
            *("patch", "lease", stage.lease_name(1), "-n", stage.namespace, "--type=merge", "-p", json.dumps(taken))
        )
        worker.until("WaitingForAccount", reason="AccountHeldElsewhere", within=15)
        assert not stage.venue.user()["logged_in"]
        # Nobody renews it, so after ten seconds it is free for whoever waits.
        worker.until("Streaming", within=40)


@pytest.fixture
def cuttable(tmp_path: Path) -> Iterator[tuple[Forwarder, Path]]:
    """The way to the API server, and a kubeconfig that takes it."""
    with api_server(tmp_path) as found:
        yield found


def test_cut_off_from_the_api_server_it_stops_by_itself_in_time(
    stage: Stage, cuttable: tuple[Forwarder, Path], figures: Figures
) -> None:
    forwarder, kubeconfig = cuttable
    with stage.worker(kubeconfig=kubeconfig) as worker:
        worker.until("Streaming")
        assigned = with_contracts(worker)
        eventually(lambda: set(publishing(worker)) == set(assigned), within=15, what="publishing")
        with Tap(stage.topics.ticklast.name) as tap:
            forwarder.cut()
            cut = time.time()
            eventually(lambda: not stage.venue.user()["logged_in"], within=15, what="logged out", every=0.1)
            stopped = time.time()
            time.sleep(3)
            last = max(record.arrived for record in tap.records())
        renewed = datetime.fromisoformat(stage.lease()["spec"]["renewTime"]).timestamp()
        figures.record("worker cut off: last tick after the last renewal", last - renewed, bar=8.5)
        assert last - renewed < 10, "nobody may take its contracts before"
        assert last > cut + 3, "a short outage must not stop it"
        assert stopped - renewed < 10, "logged out before anyone may take the account"
        forwarder.mend()
        worker.until("Streaming", within=40)


def test_two_workers_never_share_an_account(stage: Stage) -> None:
    with stage.worker(1, number=0) as first:
        first.until("Streaming")
        with stage.worker(1, number=1) as second:
            second.until("WaitingForAccount", reason="AccountHeldElsewhere")
            first.kill()
            killed = time.monotonic()
            second.until("Streaming", within=45)
            assert time.monotonic() - killed > 9, "not before the lease was silent for ten seconds"


def test_a_restarted_container_goes_on_at_once(stage: Stage) -> None:
    with stage.worker() as worker:
        before = worker.until("Streaming")
        worker.kill()
        begun = time.monotonic()
        worker.start()
        eventually(lambda: worker.status().get("startedAt") != before["startedAt"], within=20, what="a fresh status")
        assert worker.status()["session"] != "Streaming"
        worker.until("Streaming", within=60)
        assert time.monotonic() - begun < 60, "it waits for nothing"
        left = {path.name for path in worker.run_folder.iterdir()}
        assert left == {"gateway", "gateway.json"}, "a dead container's files do not pile up in the pod's /tmp"
