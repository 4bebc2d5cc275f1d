"""The command line against a real API server, a real operator and hollow workers."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from ibfeed.cli.main import app
from support.cluster import ROOT
from support.control_plane import ADMIN, ControlPlane
from support.figures import Figures
from support.hollow import LEASES, Crew
from support.hollow_feed import Feed, balanced, eventually, streaming
from support.operator_process import Operator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def feed(plane: ControlPlane, crew: Crew, operator: Operator) -> AsyncIterator[Feed]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(plane.kubeconfig(ADMIN)))
        async with streaming(crew, plane, "desk", 4, 4, 4) as feed:
            yield feed


async def ibfeed(*words: str) -> tuple[int, str]:
    """Run a command beside the crew. Its errors are those of ours, or an exit code."""
    done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


async def asked(*words: str) -> tuple[int, Any]:
    code, text = await ibfeed(*words, "-o", "json")
    return code, json.loads(text)


def published(symbol: str, worker: str) -> Callable[[], Awaitable[bool]]:
    """Whether ``why`` says that a worker publishes a contract."""

    async def ask() -> bool:
        code, (answer,) = await asked("why", symbol)
        return code == 0 and bool(answer["worker"] == worker)

    return ask


async def test_status_shows_the_feed_and_all_that_it_has(feed: Feed) -> None:
    code, text = await ibfeed("status")
    assert code == 0
    assert text.split()[7:12] == ["desk", "True", "12", "12", "3/3"]
    code, page = await asked("status", "desk")
    assert code == 0
    assert [(one["name"], one["publishing"], one["session"]) for one in page["workers"]] == [
        ("desk-0", 4, "Streaming"),
        ("desk-1", 4, "Streaming"),
        ("desk-2", 4, "Streaming"),
    ]
    assert {one["conid"]: one["worker"] for one in page["contracts"]} == feed.published()
    assert [one["state"] for one in page["accounts"]["accounts"]] == ["in use"] * 3 + ["free"] * 3


async def test_start_up_of_status(feed: Feed, figures: Figures) -> None:
    command = [sys.executable, "-c", "from ibfeed.cli.main import main; main()", "status"]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT / "client", capture_output=True, text=True)
    took, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures.record("ibfeed status, its processor time", used, bar=1, note=f"{took:.2f} s by the clock, hollow workers")
    assert used < 1
    assert (done.returncode, done.stderr) == (0, "")
    assert "desk" in done.stdout


async def test_why_names_worker_account_and_partition(feed: Feed) -> None:
    _, page = await asked("status", "desk")
    contract = page["contracts"][0]
    code, (answer,) = await asked("why", contract["symbol"].lower())
    shard = (await feed.shards())[contract["worker"]]
    entry = next(one for one in shard["spec"]["contracts"] if one["conid"] == contract["conid"])
    assert code == 0
    assert answer["worker"] == contract["worker"]
    assert answer["account"] == shard["spec"]["account"]["index"]
    assert (answer["partition"], answer["epoch"]) == (entry["slot"] % 12, entry["epoch"])
    assert abs(time.time() - answer["epoch"]) < 120, "an epoch tells when it was given"
    code, text = await ibfeed("why", contract["symbol"])
    assert f"is published by {contract['worker']} with account {answer['account']}" in text


async def test_drained_worker_gives_all_away_until_undrained(feed: Feed) -> None:
    assert (await ibfeed("drain", "desk-1"))[0] == 0
    await eventually(balanced(feed, 6, 6), within=15, what="the others have desk-1's contracts")
    _, text = await ibfeed("status", "desk")
    assert "is drained" in text
    assert "drained already" in (await ibfeed("drain", "desk-1"))[1]
    assert (await ibfeed("undrain", "desk-1"))[0] == 0
    await eventually(balanced(feed, 4, 4, 4), within=15, what="desk-1 has its share again")


async def test_pinned_contract_goes_to_its_worker(feed: Feed) -> None:
    _, page = await asked("status", "desk")
    symbols = [one["symbol"] for one in page["contracts"] if one["worker"] == "desk-0"][:2]
    for symbol in symbols:
        assert (await ibfeed("pin", symbol, "desk-2"))[0] == 0
    for symbol in symbols:
        await eventually(published(symbol, "desk-2"), within=15, what=f"{symbol} is where it is pinned to")
    assert (await feed.read())["metadata"]["annotations"]["ibfeed.dev/pin"] == f"{symbols[0]}=2,{symbols[1]}=2"
    await ibfeed("unpin", symbols[0])
    await ibfeed("unpin", symbols[1])
    assert "ibfeed.dev/pin" not in (await feed.read())["metadata"].get("annotations", {})


async def test_parked_account_is_shown_and_reset(feed: Feed) -> None:
    lease = f"{LEASES}/ib-account-desk-accounts-4"
    feed.crew.workers["desk-0"].session = "Parked"  # so that account 4 comes into use, and has a Lease
    first = f"{LEASES}/ib-account-desk-accounts-1"
    parked = {"ibfeed.dev/parked": "WrongCredentials", "ibfeed.dev/failed-logins": "3"}
    await feed.cluster.patch(first, {"metadata": {"annotations": parked}})
    await eventually(lambda: _account(feed, "desk-0"), wanted=4, within=40, what="desk-0 has account 4")
    feed.crew.workers["desk-0"].session = "Streaming"

    async def held() -> bool:
        return str(json.loads(await feed.cluster.get(lease))["spec"].get("holderIdentity")).startswith("desk-0_")

    await eventually(held, within=30, what="desk-0 holds account 4")
    await feed.ready(12)
    code, (accounts,) = await asked("account", "list", "desk")
    assert code == 3
    assert [one["state"] for one in accounts["accounts"]] == ["parked", "in use", "in use", "in use", "free", "free"]
    assert (await ibfeed("account", "reset", "1"))[0] == 0
    assert (await asked("account", "list"))[0] == 0
    assert "ibfeed.dev/parked" not in json.loads(await feed.cluster.get(first))["metadata"].get("annotations", {})


async def _account(feed: Feed, worker: str) -> int:
    return int((await feed.shards())[worker]["spec"]["account"]["index"])


async def test_restarted_worker_hands_its_contracts_over_first(feed: Feed) -> None:
    uid, lost = feed.crew.workers["desk-2"].uid, feed.crew.lost("desk")  # an account was parked before
    assert (await ibfeed("restart", "desk-2"))[0] == 0

    async def another() -> bool:
        return "desk-2" in feed.crew.workers and feed.crew.workers["desk-2"].uid != uid

    await eventually(another, within=20, what="another pod has its place")
    await eventually(balanced(feed, 4, 4, 4), within=15, what="the new pod has its share")
    assert feed.crew.lost("desk") == lost


async def test_suspended_feed_says_so_and_goes_on(feed: Feed) -> None:
    _, page = await asked("status", "desk")
    symbol = page["contracts"][0]["symbol"]
    assert (await ibfeed("suspend", "desk"))[0] == 0

    async def suspended() -> bool:
        return bool((await feed.condition("Suspended"))["status"] == "True")

    await eventually(suspended, within=20, what="all workers are logged out")
    code, (answer,) = await asked("why", symbol)
    assert code == 3
    assert (answer["reason"], answer["advice"]) == ("Suspended", ["ibfeed resume desk -n default"])
    assert (await ibfeed("status"))[0] == 3
    assert (await ibfeed("resume", "desk"))[0] == 0
    await feed.ready(12, within=30)
