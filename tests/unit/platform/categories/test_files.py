"""The files are read, and generated again, below any folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ibfeed_platform.categories.artefacts import GENERATED, PAGE, artefacts
from ibfeed_platform.categories.compatibility import all_incompatibilities
from ibfeed_platform.categories.files import SOURCE, read_categories, write_artefacts
from ibfeed_platform.categories.source import SourceError
from support.categories import ALL, ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / SOURCE).mkdir(parents=True)
    (tmp_path / PAGE).parent.mkdir()
    for path in (ROOT / SOURCE).glob("*.yaml"):
        shutil.copy(path, tmp_path / SOURCE)
    return tmp_path


def test_all_files_are_generated_and_old_ones_removed(checkout: Path) -> None:
    (checkout / GENERATED).mkdir()
    (checkout / GENERATED / "former-1.avsc").write_text("{}")
    assert write_artefacts(checkout) == len(artefacts(ALL))
    assert {name: (checkout / name).read_text() for name in artefacts(ALL)} == artefacts(ALL)
    assert not (checkout / GENERATED / "former-1.avsc").exists()


def test_two_versions_stand_side_by_side(checkout: Path) -> None:
    first = (checkout / SOURCE / "bar-1.yaml").read_text()
    (checkout / SOURCE / "bar-2.yaml").write_text(first.replace("version: 1", "version: 2"))
    write_artefacts(checkout)
    written = {path.name for path in (checkout / GENERATED).iterdir()}
    assert {"bar-1.avsc", "bar-2.avsc"} <= written
    assert "## Bar, version 2" in (checkout / PAGE).read_text()
    assert all_incompatibilities(read_categories(checkout)) == []


def test_removed_field_of_a_second_version_is_found_in_its_file(checkout: Path) -> None:
    first = (checkout / SOURCE / "bar-1.yaml").read_text()
    last_field = first.index("  - id: 11")
    second = first[:last_field].replace("version: 1", "version: 2")
    (checkout / SOURCE / "bar-2.yaml").write_text(second)
    assert all_incompatibilities(read_categories(checkout)) == ["bar-2: trade_count is gone"]


def test_file_is_called_as_its_category(checkout: Path) -> None:
    (checkout / SOURCE / "bar-1.yaml").rename(checkout / SOURCE / "bar-2.yaml")
    with pytest.raises(SourceError, match=r"bar-2.yaml holds bar-1; call it bar-1.yaml"):
        read_categories(checkout)


def test_file_that_is_wrong_is_named(checkout: Path) -> None:
    (checkout / SOURCE / "bar-1.yaml").write_text("category: bar")
    with pytest.raises(SourceError, match=r"^bar-1.yaml: .*missing required field"):
        read_categories(checkout)
