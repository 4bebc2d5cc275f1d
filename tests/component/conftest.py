from __future__ import annotations

from pathlib import Path

import pytest

from support.simulator import unpacked_gateway


@pytest.fixture(scope="session")
def gateway_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway stand-in's distribution, unpacked as in the worker's image."""
    return unpacked_gateway(tmp_path_factory.mktemp("distribution"))
