"""A control plane, a crew of hollow workers and an operator for each file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from support.control_plane import ControlPlane
from support.hollow import Crew
from support.hollow_feed import hollow_crew, hollow_plane
from support.operator_process import Operator


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with hollow_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crew(plane: ControlPlane) -> AsyncIterator[Crew]:
    async with hollow_crew(plane) as crew:
        yield crew


@pytest.fixture(scope="module")
def operator(plane: ControlPlane) -> Iterator[Operator]:
    operator = Operator(plane)
    operator.start()
    yield operator
    operator.kill()
