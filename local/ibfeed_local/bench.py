"""Benchmarks on the local cluster."""

from __future__ import annotations

import os

from ibfeed_local.command import attached
from ibfeed_local.state import SOURCE, State
from ibfeed_local.verify import surroundings

_IMPORTS = ("benchmarks", "tests", "simulator", "api", "operator", "worker", "platform", "client", "local")


def run(state: State, name: str) -> int:
    """Run the package ``benchmarks/<name>``; return its exit code."""
    imports = os.pathsep.join(str(SOURCE / folder) for folder in _IMPORTS)
    environment = {**surroundings(state), "PYTHONPATH": imports, "PYTHONUNBUFFERED": "1"}
    return attached([state.python, "-m", name], environment=environment, folder=SOURCE)
