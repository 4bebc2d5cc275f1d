"""ClickHouse's engine for the tests: the library of the chdb project, whose listeners speak ClickHouse's protocols.

It is no ClickHouse server. `docs/clickhouse.md` says what it lacks.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ibfeed_local.command import run
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE, State, digest

LOCK = SOURCE / "local" / "clickhouse"  # package.json and package-lock.json, which has the checksum
PACKAGES = {"npm": "npm"}  # of the distribution


def install(state: State) -> str:
    """Install exactly what is locked; return a word on what was done. npm compares the checksum."""
    wanted = digest(LOCK)
    if state.finished("clickhouse", wanted) and library(state).exists():
        return "up to date"
    home = _home(state)
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(LOCK, home)
    run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", f"--cache={state.cache / 'npm'}"],
        state.log / "clickhouse.log",
        folder=home,
        remedy="Can this machine reach npm's registry, or the one of its .npmrc?",
    )
    if not library(state).exists():
        raise ProblemError("npm brought no libchdb.so", "Is this machine an x86-64 one with glibc?")
    state.finish("clickhouse", wanted)
    return "installed"


def library(state: State) -> Path:
    """Return the path of the engine."""
    return _home(state) / "node_modules" / "@chdb" / "lib-linux-x64-gnu" / "libchdb.so"


def _home(state: State) -> Path:
    return state.root / "clickhouse"
