"""The worker's package, compiled as in its image, for benchmarks and tests on this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ibfeed_local import packages
from ibfeed_local.command import run
from ibfeed_local.state import SOURCE, State, digest

_COMPILE = SOURCE / "worker" / "image" / "compile.py"
_PACKAGES = (SOURCE / "api" / "ibfeed_api", SOURCE / "worker" / "ibfeed_worker")


def folder(state: State) -> Path:
    """The folder of the compiled package. It must come before the sources in the path of imports."""
    return state.root / "compiled"


def build(state: State) -> str:
    """Compile the package as `Dockerfile.worker` does; return a word on what was done."""
    wanted = digest(*_PACKAGES, _COMPILE, SOURCE / "requirements" / "dev.txt", sys.version)
    home = folder(state)
    if state.finished("compiled", wanted) and home.exists():
        return "up to date"
    packages.install(state, packages.COMPILER)
    shutil.rmtree(home, ignore_errors=True)
    for package in _PACKAGES:
        shutil.copytree(package, home / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    run([state.python, _COMPILE, home], state.log / "compiled.log", remedy="Does gcc find Python's headers?")
    state.finish("compiled", wanted)
    return "built"
