"""What is locked of other people's clients."""

from __future__ import annotations

import re

import pytest

from ibfeed_local import peers
from ibfeed_local.state import SOURCE

REQUIREMENTS = SOURCE / "requirements"


@pytest.mark.parametrize("name", peers.ALL)
def test_what_is_asked_for_is_locked_with_hashes(name: str) -> None:
    asked = re.findall(r"^([a-z-]+==[\d.]+)$", (REQUIREMENTS / f"{name}.in").read_text(), re.MULTILINE)
    locked = re.findall(r"^(\S+==\S+) \\\n    --hash=sha256:", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE)
    assert asked
    assert set(asked) <= set(locked)
    assert "://" not in (REQUIREMENTS / f"{name}.txt").read_text()


def test_the_simulator_s_page_names_the_versions_that_are_run() -> None:
    page = " ".join((SOURCE / "docs" / "simulator.md").read_text().split())
    for name in peers.CLIENTS:
        for client, version in re.findall(
            r"^(ibind|easyib|ibeam)==([\d.]+)", (REQUIREMENTS / f"{name}.txt").read_text(), re.MULTILINE
        ):
            assert f"{client} {version}" in page
