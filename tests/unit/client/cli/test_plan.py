"""``ibfeed plan``: the file, the API server's check, and the operator's plan in a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from typer.testing import CliRunner

from ibfeed.cli import plan
from ibfeed.cluster import Cluster
from ibfeed.cluster.console import ConsoleWay
from ibfeed.cluster.plan import read_plan, summary
from ibfeed.errors import ConfigurationError, Error, MissingObjectError, ObjectError
from ibfeed_api.feed import FeedSpec
from ibfeed_operator.model.types import Worker
from ibfeed_operator.planning.preview import World, preview
from support import build
from support.desk import CONTRACTS, NOW, SPEC, Desk, served, worker

WORKERS: tuple[Worker, ...] = (worker(0, *CONTRACTS[:2]), worker(1, *CONTRACTS[2:]))


def operator(_: Cluster, feed: str, spec: dict[str, Any], __: ConsoleWay) -> dict[str, Any]:
    """The operator's part: the plan of the feed on the desk."""
    assert feed == "energy"
    world = World(
        feed=replace(build.feed(), spec=msgspec.convert(SPEC, FeedSpec)),
        shards=tuple(one.shard for one in WORKERS if one.shard is not None),
        pods=tuple(one.pod for one in WORKERS if one.pod is not None),
        leases=tuple(build.lease(one.index) for one in WORKERS),
        now=NOW,
    )
    found: dict[str, Any] = json.loads(msgspec.json.encode(preview(world, msgspec.convert(spec, FeedSpec))))
    return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    desk = Desk()
    desk.feed(*WORKERS)
    with served(desk, tmp_path / "config"):
        yield desk


def run(text: str, *words: str, name: str = "-") -> tuple[int, str]:
    app = typer.Typer()
    plan.register(app, operator)
    done = CliRunner().invoke(app, ["-f", name, *words], input=text)
    if isinstance(done.exception, Error):
        raise done.exception
    return done.exit_code, done.stdout


def manifest(name: str = "energy", **spec: Any) -> str:
    return yaml.safe_dump({"kind": "IbFeed", "metadata": {"name": name}, "spec": SPEC | spec})


def test_another_worker_is_shown_with_all_that_moves(desk: Desk) -> None:
    code, text = run(manifest(workers=3))
    lines = [line.split() for line in text.splitlines()]
    assert code == 0
    assert text.startswith("energy: 1 moving, added: energy-2\n")
    assert ["energy-2", "added", "3", "0", "->", "1", "0", "->", "0", "100"] in lines
    (move,) = [line for line in lines if line[:1] == ["move"]]
    assert move[3:] == ["energy-2", "loads", "are", "evened", "(rebalance:", "Always)"]


def test_contract_without_a_worker_is_exit_code_3(desk: Desk) -> None:
    accounts = {"secretRef": {"name": "paper"}, "count": 3, "linesPerAccount": 1}
    code, text = run(manifest(accounts=accounts))
    assert code == 3
    assert "2 without a worker" in text


def test_spec_is_checked_by_the_api_server_and_nothing_is_written(desk: Desk) -> None:
    run(manifest(workers=3))
    ((path, body),) = desk.replaced
    assert path.endswith("/ibfeeds/energy?dryRun=All")
    assert (body["spec"]["workers"], body["metadata"]["resourceVersion"]) == (3, "5")
    assert not desk.patches


def test_form_for_programs_is_the_operators_document(desk: Desk) -> None:
    found = json.loads(run(manifest(workers=3), "-o", "json")[1])
    assert found["workers"][2]["contractsAfter"] == 1
    assert {"from", "to", "reason", "anyway"} < set(found["changes"][0])


def test_files_without_a_feed_say_what_to_write(desk: Desk, tmp_path: Path) -> None:
    for text in ("", "kind: Pod", "kind: IbFeed", "[1]"):
        with pytest.raises(ConfigurationError, match=r"has no IbFeed: write kind, metadata\.name and spec"):
            run(text)
    for name in (str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            run("", name=name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        run("a: [")


def test_new_feed_moves_nothing(desk: Desk) -> None:
    with pytest.raises(MissingObjectError, match="no IbFeed gold: a new feed moves nothing"):
        run(manifest("gold"))


def test_plan_of_another_version_is_no_traceback() -> None:
    with pytest.raises(ObjectError, match="of another version"):
        read_plan({"feed": 5})


def test_nothing_that_moves_is_said() -> None:
    assert summary(read_plan({"feed": "energy"})) == "energy: nothing moves"
    restarts = {"feed": "energy", "restarts": ["energy-0", "energy-1"], "standbys": [{"symbol": "CLZ6"}]}
    assert summary(read_plan(restarts)) == ("energy: standbys elsewhere: 1, 2 workers restart, one after the other")
