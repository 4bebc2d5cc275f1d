"""The category schemas: JSON Schema, Avro, Protobuf, ClickHouse, Iceberg and a page, all from one source."""

from __future__ import annotations

import os
from pathlib import Path

from ibfeed_local.command import output
from ibfeed_local.state import SOURCE, State

PACKAGES = ("api", "platform")


def generate(state: State) -> str:
    """Write all files that follow from schemas/categories; return how many there are."""
    imports = os.pathsep.join(str(SOURCE / package) for package in PACKAGES)
    arguments: list[str | Path] = [state.python, "-m", "ibfeed_platform.categories", SOURCE]
    remedy = "Correct the source in schemas/categories."
    return output(arguments, environment={"PYTHONPATH": imports}, remedy=remedy).strip()
