"""Markdown pages as the tests of the documentation read them: links, headings, tables."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()]*\))?)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    """A link as it stands in a page: a path, which may be empty, and an anchor, which may be, too."""

    path: str
    anchor: str


def links(text: str) -> Iterator[Link]:
    """Yield the links of a page that lead to files or headings."""
    for found in _LINK.finditer(_CODE.sub("", _FENCE.sub("", text))):
        target = found[1]
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield Link(path, anchor)


def anchors(text: str) -> set[str]:
    """Return the anchors that both GitHub and the site's generator give to the headings of a page."""
    headings = [_plain(heading) for heading in _HEADING.findall(_FENCE.sub("", text))]
    return _numbered(map(_of_github, headings), "-") & _numbered(map(_of_the_site, headings), "_")


def tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a page, each as its rows of cells. The first row is the header."""
    table: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            yield [table[0], *table[2:]]
            table = []


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _plain(heading: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")


def _of_github(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _of_the_site(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def _numbered(slugs: Iterator[str] | map[str], joint: str) -> set[str]:
    """Return the slugs; one that comes again has a number."""
    found: set[str] = set()
    for slug in slugs:
        number, one = 0, slug
        while one in found:
            number, one = number + 1, f"{slug}{joint}{number + 1}"
        found.add(one)
    return found
