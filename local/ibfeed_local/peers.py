"""A virtual environment of its own for the clients that the worker is compared with: no part of the product."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ibfeed_local.command import run
from ibfeed_local.state import SOURCE, State, digest
from ibfeed_local.venv import REMEDY

PINNED = SOURCE / "requirements" / "peers.txt"


def python(state: State) -> Path:
    """Its interpreter."""
    return state.root / "peers" / "bin" / "python"


def build(state: State) -> str:
    """Install exactly what is pinned; say what was done."""
    wanted = digest(PINNED, sys.version)
    home = state.root / "peers"
    if state.finished("peers", wanted) and python(state).exists():
        return "up to date"
    log = state.log / "peers.log"
    shutil.rmtree(home, ignore_errors=True)
    run([sys.executable, "-m", "venv", home], log, remedy="Install python3-venv.")
    pip: list[str | Path] = [python(state), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--require-hashes", "-r", PINNED], log, remedy=REMEDY)
    state.finish("peers", wanted)
    return "installed"
