"""What is committed is what the source says."""

from __future__ import annotations

from ibfeed_platform.categories.artefacts import GENERATED, RECORDS, artefacts
from support.categories import ALL, ROOT


def test_committed_files_are_those_of_the_source() -> None:
    wanted = artefacts(ALL)
    for folder in (GENERATED, RECORDS):
        present = {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()}
        assert present == {name for name in wanted if name.startswith(folder)}
    stale = [name for name, text in wanted.items() if (ROOT / name).read_text(encoding="utf-8") != text]
    assert stale == [], "run: make schemas"
