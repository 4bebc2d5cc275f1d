"""The engine of the tests is locked, and its step is done once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ibfeed_local import clickhouse
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

LOCK = json.loads((clickhouse.LOCK / "package-lock.json").read_text())
ASKED = json.loads((clickhouse.LOCK / "package.json").read_text())["dependencies"]


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state")
    state.prepare()
    return state


def test_one_version_is_locked_with_its_checksum() -> None:
    ((name, version),) = ASKED.items()
    locked = LOCK["packages"][f"node_modules/{name}"]
    assert locked["version"] == version
    assert locked["integrity"].startswith("sha512-")
    assert "://" not in json.dumps(LOCK)


def npm(monkeypatch: pytest.MonkeyPatch, state: State, *, brings: bool) -> list[list[str]]:
    """Stand in for npm; return its calls."""
    calls: list[list[str]] = []

    def run(arguments: list[str], log: Path, *, folder: Path, remedy: str) -> None:
        calls.append(arguments)
        assert (folder / "package-lock.json").exists()
        if brings:
            clickhouse.library(state).parent.mkdir(parents=True)
            clickhouse.library(state).touch()

    monkeypatch.setattr(clickhouse, "run", run)
    return calls


def test_step_is_done_once(monkeypatch: pytest.MonkeyPatch, state: State) -> None:
    calls = npm(monkeypatch, state, brings=True)
    assert clickhouse.install(state) == "installed"
    assert clickhouse.install(state) == "up to date"
    (call,) = calls
    assert call[:3] == ["npm", "ci", "--ignore-scripts"]


def test_library_that_did_not_come_is_told(monkeypatch: pytest.MonkeyPatch, state: State) -> None:
    npm(monkeypatch, state, brings=False)
    with pytest.raises(ProblemError, match=r"npm brought no libchdb.so"):
        clickhouse.install(state)
