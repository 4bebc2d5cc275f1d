"""Each test that a page of the documentation names as a proof exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ibfeed_local.state import SOURCE
from support.markdown import read, tables

DOCS = SOURCE / "docs"
TESTS = SOURCE / "tests"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "| proof |" in read(path))
NAME = re.compile(r"`((?:unit|component|cluster|hollow|downstream|gateway)/[\w/]+\.py)::(\w+)`")
UNPROVEN = "**not tested**"


def proofs(page: Path) -> Iterator[tuple[str, str]]:
    """Yield first and last cell of each row of a page's tables that have a column of proofs."""
    for header, *rows in tables(read(page)):
        if header[-1] == "proof":
            yield from ((row[0], row[-1]) for row in rows)


@cache
def functions(file: str) -> set[str]:
    path = TESTS / file
    return set(re.findall(r"def (test_\w+)", path.read_text())) if path.is_file() else set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_each_row_names_a_test_that_exists_or_says_that_there_is_none(page: Path) -> None:
    found = list(proofs(page))
    assert found
    missing = [
        f"{what}: {file}::{name}"
        for what, cell in found
        for file, name in NAME.findall(cell)
        if name not in functions(file)
    ]
    assert missing == []
    assert [what for what, cell in found if not NAME.search(cell) and UNPROVEN not in cell] == []


def test_pages_with_proofs_are_the_matrices_and_the_tasks() -> None:
    assert {"failures.md", "adaptions.md", "README.md"} <= {path.name for path in PAGES}
