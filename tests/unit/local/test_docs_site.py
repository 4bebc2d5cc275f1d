"""The navigation of the site: it reaches each page, and the way in is short."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ibfeed_local.state import SOURCE
from support.markdown import links, read

DOCS = SOURCE / "docs"


class _Loader(yaml.SafeLoader):
    """Reads a name of Python as its text."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda _loader, suffix, _node: suffix)


def site() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load((SOURCE / "mkdocs.yml").read_text(), Loader=_Loader)
    return document


def paths(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation, at any depth."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from paths(item)


NAV = list(paths(site()["nav"]))


def test_each_page_is_in_the_navigation_once() -> None:
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    listed = {page for page in pages if not page.startswith("adr/0")}
    # Pages of runbooks are found through their list, as the decisions are.
    assert sorted(NAV) == sorted(
        page for page in listed if not page.startswith("runbooks/") or page.endswith("README.md")
    )


def test_each_record_is_in_the_list_of_decisions() -> None:
    told = {link.path for link in links(read(DOCS / "adr" / "README.md"))}
    assert {path.name for path in DOCS.glob("adr/0*.md")} <= told


def test_nothing_of_the_site_is_loaded_from_elsewhere() -> None:
    assert site()["theme"]["font"] is False
    assert site()["plugins"] == ["search"]  # Zensical knows no others
    assert "hooks" not in site()


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_a_stranger_finds_each_page_within_two_clicks(start: str) -> None:
    first = reached({SOURCE / start})
    second = reached(first)
    wanted = {DOCS / page for page in NAV if (DOCS / page).exists()}
    assert {str(page.relative_to(DOCS)) for page in wanted - first - second - {SOURCE / start}} == set()


def reached(pages: set[Path]) -> set[Path]:
    """Return the pages that links of these pages lead to."""
    return {
        (page.parent / link.path).resolve() for page in pages for link in links(read(page)) if link.path.endswith(".md")
    }
