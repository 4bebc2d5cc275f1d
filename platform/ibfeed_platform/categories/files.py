"""The files of the category schemas: the source is read, and what is generated from it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ibfeed_platform.categories.artefacts import GENERATED, RECORDS, artefacts
from ibfeed_platform.categories.source import Category, SourceError, parse

SOURCE: Final = "schemas/categories"


def read_categories(root: Path) -> list[Category]:
    """Read all versions of all categories, in the order of their files. Raises SourceError."""
    return [_read(path) for path in sorted((root / SOURCE).glob("*.yaml"))]


def write_artefacts(root: Path) -> int:
    """Generate all files again, and remove those without a source. Return how many there are."""
    wanted = artefacts(read_categories(root))
    for folder in (root / GENERATED, root / RECORDS):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if str(path.relative_to(root)) not in wanted:
                path.unlink()
    for name, text in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return len(wanted)


def _read(path: Path) -> Category:
    try:
        category = parse(path.read_text(encoding="utf-8"))
    except SourceError as error:
        raise SourceError(f"{path.name}: {error}") from error
    if category.name != path.stem:
        raise SourceError(f"{path.name} holds {category.name}; call it {category.name}.yaml")
    return category
