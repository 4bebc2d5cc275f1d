"""Each test that the threat model names is there, so that no line of it rests on nothing."""

from __future__ import annotations

import re

import pytest

from ibfeed_local.state import SOURCE

PAGE = (SOURCE / "docs" / "security.md").read_text().replace("`rights::", "`hollow/test_rights.py::")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))


def test_there_are_some() -> None:
    assert len(NAMED) > 8


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_test_exists(path: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (SOURCE / "tests" / path).read_text(), re.MULTILINE)
