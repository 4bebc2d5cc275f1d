"""The commands about the cluster, against objects as the operator writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ibfeed.cli.main import app
from ibfeed.errors import Error, MissingObjectError, ObjectError
from ibfeed_operator.model.types import UnassignedReason
from support.desk import API, CONTRACTS, LEASES, Desk, served, worker

ROOT = Path(__file__).resolve().parents[4]
HEAVY = [
    "aiohttp",
    "asyncio",
    "clickhouse_connect",
    "confluent_kafka",
    "fastavro",
    "httpx",
    "msgspec",
    "pandas",
    "polars",
    "pyarrow",
    "pykube",
    "requests",
    "rich",
    "yaml",
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    desk = Desk()
    desk.feed(worker(0, *CONTRACTS[:2]), worker(1, *CONTRACTS[2:]))
    for index in (1, 2):
        desk.lease(f"ib-account-paper-{index}", holder=f"energy-{index - 1}_uid")
    with served(desk, tmp_path / "config"):
        yield desk


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    if isinstance(done.exception, Error):
        raise done.exception
    return done.exit_code, done.stdout


def broken(desk: Desk) -> None:
    why = {CONTRACTS[0]: UnassignedReason.CAPACITY}
    desk.feed(worker(0, CONTRACTS[1]), worker(1, *CONTRACTS[2:]), unassigned=why)


class TestStatus:
    def test_all_is_well(self, desk: Desk) -> None:
        code, text = run("status")
        assert code == 0
        assert [line.split() for line in text.splitlines()] == [
            ["NAME", "READY", "CONTRACTS", "PUBLISHING", "WORKERS", "SINCE", "MESSAGE"],
            ["energy", "True", "4", "4", "2/2", text.split()[12], text.split()[13], "streaming"],
        ]
        assert "\x1b" not in text, "colours are for terminals"

    def test_not_ready_is_exit_code_3(self, desk: Desk) -> None:
        broken(desk)
        code, text = run("status", "energy")
        assert code == 3
        assert "Covered" in text
        assert ["CLZ6", "none", "unassigned", "11"] in [line.split()[:4] for line in text.splitlines()]
        assert run("status")[0] == 3

    def test_one_feed_has_workers_contracts_accounts_and_sinks(self, desk: Desk) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "Writing", "message": "writing"}
        desk.objects[f"{API}/ibsinks/hot"] = {
            "metadata": {"name": "hot"},
            "spec": {"feedRef": {"name": "energy"}, "redis": {"url": "redis://r"}},
            "status": {"conditions": [ready], "destination": "redis://r", "lag": 7, "latencyP99Ms": 812},
        }
        desk.objects[f"{API}/ibsinks/other"] = {"metadata": {"name": "other"}, "spec": {"feedRef": {"name": "equity"}}}
        code, text = run("status", "energy")
        assert code == 0
        for words in ("energy-1   Streaming", "CLZ6       energy-0   publishing", "in use", "812 ms"):
            assert words in text
        assert "other" not in text

    def test_forms_for_programs_say_the_same(self, desk: Desk) -> None:
        page = json.loads(run("status", "energy", "-o", "json")[1])
        assert page == yaml.safe_load(run("status", "energy", "-o", "yaml")[1])
        assert page["feed"]["ready"] is True
        assert page["contracts"][0] == {
            "symbol": "CLZ6",
            "conid": 100,
            "worker": "energy-0",
            "state": "publishing",
            "partition": 11,
            "standby": "",
            "last_tick": "2026-11-27T07:59:58.500000Z",
            "message": "",
        }

    def test_viewer_without_leases_sees_the_rest(self, desk: Desk) -> None:
        desk.refused.add("leases")
        code, text = run("status", "energy")
        assert code == 0
        assert "you may not read Leases" in text

    def test_watch_shows_it_again_until_ctrl_c(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        sleeps = iter([None])

        def sleep(_: float) -> None:
            if next(sleeps, "Ctrl-C") is not None:
                raise KeyboardInterrupt

        monkeypatch.setattr("ibfeed.cli.status.time.sleep", sleep)
        code, text = run("status", "--watch")
        assert (code, text.count("energy")) == (0, 2)

    def test_watch_with_a_form_is_wrong_usage(self, desk: Desk) -> None:
        assert run("status", "--watch", "-o", "json")[0] == 2

    def test_missing_feed_and_missing_crds_say_what_to_do(self, desk: Desk) -> None:
        with pytest.raises(MissingObjectError, match=r"no IbFeed gold: it has energy; choose .* with -n"):
            run("status", "gold")


class TestWhy:
    def test_published_contract(self, desk: Desk) -> None:
        code, text = run("why", "clz6")
        assert code == 0
        assert text.startswith("CLZ6 (conid 100) is published by energy-0 with account 1, to partition 11 of ticklast")

    def test_unassigned_contract_has_advice(self, desk: Desk) -> None:
        broken(desk)
        code, text = run("why", "CLZ6")
        assert code == 3
        assert "What to do:\n  kubectl -n markets scale ibf/energy --replicas=3" in text

    def test_json_is_a_list_with_one_answer_a_feed(self, desk: Desk) -> None:
        (answer,) = json.loads(run("why", "CLZ6", "-o", "json")[1])
        assert (answer["worker"], answer["state"], answer["partition"]) == ("energy-0", "publishing", 11)


class TestOrders:
    def test_drain_and_undrain_are_an_annotation(self, desk: Desk) -> None:
        assert "being drained of 2 contracts" in run("drain", "energy-1")[1]
        shard = f"{API}/ibshards/energy-1"
        assert desk.patches == [(shard, {"metadata": {"annotations": {"ibfeed.dev/drain": "true"}}})]
        assert "is not drained" in run("undrain", "energy-1")[1]
        desk.objects[shard]["metadata"]["annotations"] = {"ibfeed.dev/drain": "true"}
        assert "drained already" in run("drain", "energy-1")[1]
        run("undrain", "energy-1")
        assert desk.patches[1:] == [(shard, {"metadata": {"annotations": {"ibfeed.dev/drain": None}}})]

    def test_unknown_worker_is_answered_with_those_there_are(self, desk: Desk) -> None:
        with pytest.raises(MissingObjectError, match="no worker energy-9: it has energy-0, energy-1"):
            run("drain", "energy-9")
        assert not desk.patches

    def test_pin_is_written_on_the_version_that_was_read(self, desk: Desk) -> None:
        desk.conflicts = 1
        run("pin", "102", "energy-0")
        metadata = {"resourceVersion": "5", "annotations": {"ibfeed.dev/pin": "CLG7=0"}}
        assert desk.patches == [(f"{API}/ibfeeds/energy", {"metadata": metadata})]

    def test_pin_that_the_operator_could_not_honour_is_refused(self, desk: Desk) -> None:
        with pytest.raises(ObjectError, match="no worker energy-2: it has energy-0 to energy-1"):
            run("pin", "CLZ6", "energy-2")
        with pytest.raises(MissingObjectError, match="streams the nearest 4 months"):
            run("pin", "CLM9", "energy-1")
        assert not desk.patches

    def test_unpin_finds_the_feed(self, desk: Desk) -> None:
        with pytest.raises(MissingObjectError, match="CLZ6 is not pinned; pinned: none is"):
            run("unpin", "CLZ6")
        desk.objects[f"{API}/ibfeeds/energy"]["metadata"]["annotations"] = {"ibfeed.dev/pin": "CLZ6=1"}
        run("unpin", "clz6")
        assert desk.patches[0][1]["metadata"]["annotations"] == {"ibfeed.dev/pin": None}

    def test_suspend_and_resume_are_a_field_of_the_spec(self, desk: Desk) -> None:
        assert "not suspended" in run("resume", "energy")[1]
        run("suspend", "energy")
        assert desk.patches == [(f"{API}/ibfeeds/energy", {"spec": {"suspend": True}})]

    def test_restart_deletes_a_pod_or_rolls_the_feed(self, desk: Desk) -> None:
        run("restart", "energy-1")
        assert desk.deleted == ["/api/v1/namespaces/markets/pods/energy-1"]
        run("restart", "energy")
        ((path, body),) = desk.patches
        assert path == "/apis/apps/v1/namespaces/markets/statefulsets/energy"
        assert list(body["spec"]["template"]["metadata"]["annotations"]) == ["kubectl.kubernetes.io/restartedAt"]
        with pytest.raises(MissingObjectError, match="no feed or worker gold; it has energy, energy-0, energy-1"):
            run("restart", "gold")


class TestAccount:
    def test_parked_account_is_listed_and_reset(self, desk: Desk) -> None:
        desk.lease("ib-account-paper-2", parked="WrongCredentials", failed_logins="3")
        code, text = run("account", "list")
        assert code == 3
        assert "parked" in text
        assert "tries it at once" in run("account", "reset", "2")[1]
        ((path, body),) = desk.patches
        assert path == f"{LEASES}/ib-account-paper-2"
        assert body["metadata"]["annotations"]["ibfeed.dev/parked"] is None

    def test_account_that_is_not_there_is_named(self, desk: Desk) -> None:
        with pytest.raises(MissingObjectError, match="energy has no account 9: it has 1 to 3"):
            run("account", "reset", "9")
        with pytest.raises(ObjectError, match="was never used"):
            run("account", "reset", "3")
        assert run("account", "reset", "1")[1] == "account 1 is in use, and nothing is held against it\n"
        assert not desk.patches

    def test_trouble_of_the_page_goes_with_its_account(self, desk: Desk) -> None:
        trouble: Any = [{"reason": "LoginTimeout", "text": "t", "accounts": {"1": "x", "2": "x"}}]
        desk.lease("ib-account-paper-logins", page_trouble=json.dumps(trouble))
        assert "the login page fails for accounts 1, 2 alike" in run("account", "list", "energy")[1]
        run("account", "reset", "1")
        assert desk.patches[1] == (
            f"{LEASES}/ib-account-paper-logins",
            {"metadata": {"annotations": {"ibfeed.dev/page-trouble": None}}},
        )


def line(at: int, logger: str, event: str, **values: object) -> str:
    known = {"time": f"2026-11-27T08:00:0{at}.000+00:00", "level": "info", "logger": logger, "event": event}
    return json.dumps(known | values, ensure_ascii=False)


class TestLogs:
    def test_log_of_a_contracts_worker_is_for_people(self, desk: Desk) -> None:
        desk.logs["energy-0"] = "plain →\n" + line(1, "ibfeed_worker.stream", "subscribed", conid=5, text="a b")
        assert run("logs", "CLZ6")[1] == 'plain →\n2026-11-27 08:00:01.000 INFO    subscribed (conid=5 text="a b")\n'
        assert json.loads(run("logs", "energy-0", "--raw", "--tail", "1")[1])["conid"] == 5

    def test_logins_of_all_workers_come_in_the_order_of_time(self, desk: Desk) -> None:
        desk.logs["energy-0"] = "\n".join([line(1, "ibfeed_worker.login.attempt", "one", worker="energy-0"), "x"])
        desk.logs["energy-1"] = line(0, "ibfeed_worker.account.pool", "two", worker="energy-1")
        shown = run("logs", "--login")[1]
        assert [row.split()[3:] for row in shown.splitlines()] == [["energy-1", "two"], ["energy-0", "one"]]

    def test_followed_log_comes_line_by_line(self, desk: Desk) -> None:
        login = line(1, "ibfeed_worker.login.attempt", "logged in", account=1, was="→")
        desk.logs["energy-0"] = f"x\n{login}\ny"
        shown = run("logs", "energy-0", "-f", "--login", "--raw")[1]
        assert shown.splitlines() == [login]

    def test_worker_without_a_pod_has_no_log(self, desk: Desk) -> None:
        with pytest.raises(MissingObjectError, match="energy-0 has no pod now"):
            run("logs", "energy-0")

    def test_nothing_to_show_is_wrong_usage(self, desk: Desk) -> None:
        assert run("logs")[0] == 2
        assert run("logs", "--login", "-f")[0] == 2


def test_help_imports_nothing_heavy() -> None:
    """Each takes longer than the whole help may: 0.3 s."""
    script = (
        "import sys\nfrom ibfeed.cli.main import app\n"
        "for words in (['--help'], ['status', '--help'], ['account', '--help'], ['record', '--help']):\n"
        "    try: app(words)\n    except SystemExit: pass\n"
        f"print('LOADED', [one for one in {HEAVY!r} if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "client", capture_output=True, text=True, check=True
    )
    assert "ibfeed status energy --watch" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_error_is_one_line(tmp_path: Path) -> None:
    script = "import sys; sys.argv = ['/usr/bin/kubectl-ibfeed', 'status']; from ibfeed.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "client",
        env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (said,) = done.stderr.splitlines()
    assert said.startswith("ERROR: no cluster is configured")
    assert "set KUBECONFIG" in said


@pytest.mark.parametrize(("words", "completed"), [("ibfeed drain en", "energy-0"), ("ibfeed why CLZ", "CLZ6")])
def test_shell_completes_names_from_the_cluster(desk: Desk, words: str, completed: str) -> None:
    env = {"_IBFEED_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
    done = CliRunner().invoke(app, [], prog_name="ibfeed", env=env)
    assert completed in done.stdout.split()
