"""Virtual environments for other people's programs, one for each. They are no part of the product."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ibfeed_local.command import run
from ibfeed_local.state import SOURCE, State, digest
from ibfeed_local.venv import REMEDY

BENCHMARK = "peers"  # `make bench-worker` compares the worker with these
# `make test` runs these against the simulator. There are two, as no version of requests suits both ibeam and ibind.
CLIENTS = ("clients", "login-client")
SPARK = "spark"  # the platform's job for Spark, which brings its own Python packages
DOCS = "docs"  # the generator of the documentation site
ALL = (BENCHMARK, *CLIENTS, SPARK, DOCS)


def python(state: State, name: str = BENCHMARK) -> Path:
    """Return the interpreter of an environment."""
    return state.root / name / "bin" / "python"


def build(state: State, name: str = BENCHMARK) -> str:
    """Install exactly what ``requirements/<name>.txt`` pins; return a word on what was done."""
    pinned = SOURCE / "requirements" / f"{name}.txt"
    wanted = digest(pinned, sys.version)
    home = state.root / name
    if state.finished(name, wanted) and python(state, name).exists():
        return "up to date"
    log = state.log / f"{name}.log"
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", home], log, remedy="Install python3-venv.")
    pip: list[str | Path] = [python(state, name), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--require-hashes", "-r", pinned], log, remedy=REMEDY)
    state.finish(name, wanted)
    return "installed"
