from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from support.figures import Figures

_FIGURES = pytest.StashKey[Figures]()

# A limit on each example's time fails on a busy machine; what must be fast is measured by tests of its own.
settings.register_profile("ibfeed", deadline=None)
settings.load_profile("ibfeed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--figures", metavar="FILE", type=Path, help="write the figures to this JSON file, and fail where one is missed"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FIGURES] = Figures(strict=config.getoption("--figures") is not None)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where a test puts what it measured; see ``support.figures``."""
    return pytestconfig.stash[_FIGURES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    measured = config.stash[_FIGURES]
    if lines := measured.table():
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.write_line(line)
    if lines and (path := config.getoption("--figures")):
        measured.write(path)
