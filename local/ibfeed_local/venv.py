"""The virtual environment with the product's locked dependencies and the development tools."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from ibfeed_local.command import output, run
from ibfeed_local.state import SOURCE, State, digest

LOCK = SOURCE / "requirements" / "dev.txt"
REMEDY = "Can this machine reach PyPI, or the index of its pip configuration?"
OWN = {"pip", "setuptools", "wheel"}


def build(state: State) -> str:
    """Bring the virtual environment to exactly what is locked; return a word on what was done."""
    wanted = digest(LOCK, sys.version)
    if state.finished("venv", wanted) and state.python.exists():
        return "up to date"
    log = state.log / "venv.log"
    if not _usable(state.python):
        shutil.rmtree(state.venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", state.venv], log, remedy="Install python3-venv.")
    pip: list[str | Path] = [state.python, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--no-deps", "--require-hashes", "-r", LOCK], log, remedy=REMEDY)
    locked = {_normal(name) for name in re.findall(r"^([A-Za-z0-9][\w.-]*)==", LOCK.read_text(), re.MULTILINE)}
    present = {_normal(line.partition("==")[0]) for line in output([*pip, "list", "--format=freeze"]).split()}
    if surplus := sorted(present - locked - OWN):
        run([*pip, "uninstall", "--yes", *surplus], log)
    state.finish("venv", wanted)
    return f"{len(locked)} packages"


def _usable(python: Path) -> bool:
    """Whether the environment has an interpreter of our version. An upgrade of the distribution breaks it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return python.exists() and (python.parent.parent / "lib" / f"python{version}" / "site-packages" / "pip").is_dir()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
