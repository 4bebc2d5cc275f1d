"""The names of the package, which are imported when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ibfeed

ROOT = Path(__file__).resolve().parents[3]


def test_each_name_is_there() -> None:
    assert {name: getattr(ibfeed, name).__name__ for name in ibfeed.__all__ if name != "Event"}
    assert set(ibfeed.__all__) <= set(dir(ibfeed))
    assert set(ibfeed._HOMES) == set(ibfeed.__all__)


def test_other_names_are_refused_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module ibfeed has no attribute price"):
        _ = ibfeed.price


def test_importing_the_package_imports_nothing_of_it() -> None:
    script = "import sys, ibfeed; print([one for one in sys.modules if one.startswith('ibfeed.')]); ibfeed.Tick"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT / "client", capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
