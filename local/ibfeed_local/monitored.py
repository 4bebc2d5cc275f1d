"""The files that are made from the code for those who watch a feed: pages of metrics and events, and the dashboard."""

from __future__ import annotations

import os
from pathlib import Path

from ibfeed_local.command import output
from ibfeed_local.state import SOURCE, State

PACKAGES = ("api", "operator", "worker", "platform", "client", "local")


def generate(state: State) -> str:
    """Write all of them; return how many there are."""
    imports = os.pathsep.join(str(SOURCE / package) for package in PACKAGES)
    arguments: list[str | Path] = [state.python, "-m", "ibfeed_monitoring", SOURCE]
    remedy = "Run `make lint`, which names what is wrong with the code."
    return output(arguments, environment={"PYTHONPATH": imports}, remedy=remedy).strip()
