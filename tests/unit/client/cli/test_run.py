"""``ibfeed run`` says what is wrong with its file before it runs anything."""

from __future__ import annotations

from pathlib import Path

import pytest

import ibfeed
from ibfeed.cli.run import run


def test_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ibfeed.ConfigurationError, match=r"desk\.toml cannot be read: No such file or directory; name"):
        run(tmp_path / "desk.toml")


def test_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("[feed]")
    with pytest.raises(ibfeed.ConfigurationError, match=f"{tmp_path}/desk.toml: .*`servers`"):
        run(tmp_path / "desk.toml")
