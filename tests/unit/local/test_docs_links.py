"""Every link of the documentation leads to a file and a heading that are there. Nothing is asked of the network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ibfeed_local.state import SOURCE
from ibfeed_local.verbs import VERBS
from support.markdown import Link, anchors, links, read

DOCS = SOURCE / "docs"
SKIPPED = {"node_modules", "dist", "build"}
PAGES = [
    path
    for path in sorted(SOURCE.rglob("*.md"))
    if not any(part.startswith(".") or part in SKIPPED for part in path.relative_to(SOURCE).parts)
]


def broken(page: Path, link: Link) -> str:
    """Return what is wrong with a link; empty if it leads somewhere."""
    target = (page.parent / link.path).resolve() if link.path else page
    if not target.exists():
        return f"{link.path}: there is no such file"
    if page.is_relative_to(DOCS) and not target.is_relative_to(DOCS):
        return f"{link.path}: a page of the site links only to pages of the site; write the path as `code`"
    if page.is_relative_to(DOCS) and target.is_dir():
        return f"{link.path}: the site has no page for a folder; name its README.md"
    if link.anchor and link.anchor not in anchors(read(target)):
        return f"{link.path}#{link.anchor}: there is no such heading, on GitHub or on the site"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_links_lead_somewhere(page: Path) -> None:
    assert [why for link in links(read(page)) if (why := broken(page, link))] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[a](b.md) and ![c](d.svg)", [Link("b.md", ""), Link("d.svg", "")]),
        ("[a](b.md#c), [d](#e)", [Link("b.md", "c"), Link("", "e")]),
        ("[a](https://example.com/b) `[c](d.md)`", []),
        ("```\n[a](b.md)\n```\n", []),
    ],
)
def test_links_of_a_page(text: str, found: list[Link]) -> None:
    assert list(links(text)) == found


def test_heading_has_one_anchor_on_github_and_on_the_site() -> None:
    text = "# The `make` target\n## What's new?\n## Twice\n## Twice\n## A - B\n```\n# none\n```\n"
    assert anchors(text) == {"the-make-target", "whats-new", "twice"}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (Link("nowhere.md", ""), "no such file"),
        (Link("glossary.md", "nowhere"), "no such heading"),
        (Link("../README.md", ""), "only to pages of the site"),
        (Link("architecture", ""), "no page for a folder"),
    ],
)
def test_link_that_leads_nowhere_is_found(link: Link, why: str) -> None:
    assert why in broken(DOCS / "limits.md", link)


FOLDERS = (
    "(?:api|benchmarks|client|crds|docs|examples|local|manifests|operator"
    "|platform|requirements|schemas|simulator|tests|worker)"
)
PATH = re.compile(rf"`({FOLDERS}/[\w./-]*\w/?)`")
TARGET = re.compile(r"(?:^|`|=\S+ )make ([a-z][a-z-]+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_named_files_and_targets_exist(page: Path) -> None:
    text = read(page)
    named = [path for path in PATH.findall(text) if "NNNN" not in path]
    assert [path for path in named if not (SOURCE / path).exists()] == []
    assert set(TARGET.findall(text)) <= {*VERBS, "help"}
