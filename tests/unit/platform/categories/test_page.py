"""The page shows each field of the newest version of each category."""

from __future__ import annotations

from ibfeed_platform.categories.page import page
from support.categories import ALL, NEWEST
from support.category_versions import grown


def test_each_category_has_its_fields() -> None:
    sections = page(ALL).split("\n## ")[1:]
    assert len(sections) == len(NEWEST)
    for section, name in zip(sections, sorted(NEWEST), strict=True):
        rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
        shown = [(cells[1], cells[2], cells[3]) for cells in rows if cells[1].startswith("`")]
        assert shown == [
            (f"`{field.name}`", f"{field.dtype}, or null" if field.nullable else field.dtype, field.unit)
            for field in NEWEST[name].fields
        ]
        assert all(f"| {state} | {meaning} |" in section for state, meaning in NEWEST[name].states.items())


def test_newest_version_is_shown() -> None:
    new, (added, *_) = grown(NEWEST["bar"])
    text = page([new, *ALL])
    assert f"## Bar, version {new.version}" in text
    assert f"`{added}`" in text
    assert "## Bar, version 1\n" not in text


def test_topics_are_named() -> None:
    text = page(ALL)
    assert "Topic `ticklast`, versions 1 and 2." in text
    assert "Topic `contracts`, version 1." in text
    assert "No topic carries it yet." in text
