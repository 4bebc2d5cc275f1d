from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.simulator import Venue, unpacked_gateway
from support.worker import Stage


@pytest.fixture(scope="session")
def gateway_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway stand-in's distribution, unpacked as in the worker's image."""
    return unpacked_gateway(tmp_path_factory.mktemp("distribution"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One for each file that does not start its own."""
    with Venue(tmp_path_factory.mktemp("venue")) as venue:
        yield venue


@pytest.fixture
def venue(running: Venue) -> Venue:
    """It has forgotten what the test before did: who was logged in, locked, or told to wait."""
    running.clear()
    for fault in ("expire_sso", "yield", "unlock", "forgive"):
        running.fault(fault)
    return running


@pytest.fixture
def stage(venue: Venue, gateway_folder: Path, tmp_path: Path) -> Iterator[Stage]:
    with Stage(venue, gateway_folder, tmp_path) as stage:
        yield stage
