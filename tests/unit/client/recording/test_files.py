"""Recordings on disk: what a crash leaves is mended, and no record is written twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ibfeed.errors import RecordingError
from ibfeed.recording import files, records
from ibfeed.recording.blocks import Block
from ibfeed.recording.files import Folder
from ibfeed.recording.records import Batch
from support.recordings import batch

DAY = "records/ticklast/2026-11-26/495512572.ibrec"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def content(path: Path) -> list[Batch]:
    return [records.decode(found) for found in files.read(path) if isinstance(found, Block)]


def test_records_are_in_a_file_per_contract_and_day(folder: Folder) -> None:
    assert folder.append(batch(3)) == 3
    assert content(folder.path / DAY) == [batch(3)]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (None, "~none"),
        (b"energy-0", "energy-0"),
        (b"../../etc", "~6e22d54d0c3be7ff8d8df8e0f9ac5ed9"),
        (b"", "~e3b0c44298fc1c149afbf4c8996fb924"),
    ],
)
def test_key_that_is_no_name_stays_in_the_folder(folder: Folder, key: bytes | None, name: str) -> None:
    folder.append(batch(1, key=key))
    (path,) = files.find(folder.path)
    assert path.parent == (folder.path / DAY).parent
    assert path.stem == name or (name.startswith("~") and path.stem.startswith("~") and len(path.stem) == 33)


def test_records_that_a_file_has_are_not_written_again(folder: Folder) -> None:
    folder.append(batch(3))  # offsets 0, 7, 14
    folder.close()
    again = Folder(folder.path)
    assert again.append(batch(3)) == 0
    assert again.append(batch(5)) == 2
    assert again.append(batch(2, partition=1)) == 2
    offsets = [(found.partition, found.offsets) for found in content(folder.path / DAY)]
    assert offsets == [(0, [0, 7, 14]), (0, [21, 28]), (1, [0, 7])]


def test_torn_end_is_cut_off_before_appending(folder: Folder, caplog: pytest.LogCaptureFixture) -> None:
    folder.append(batch(2))
    folder.append(batch(3, first_offset=100))
    folder.close()
    path = folder.path / DAY
    os.truncate(path, path.stat().st_size - 5)
    assert Folder(folder.path).append(batch(3, first_offset=100)) == 3
    assert content(path) == [batch(2), batch(3, first_offset=100)]
    assert all(isinstance(found, Block) for found in files.read(path))
    assert "is damaged: bytes" in caplog.text


def test_damage_in_the_middle_stays_and_what_follows_is_kept(folder: Folder) -> None:
    for first in (0, 100, 200):
        folder.append(batch(3, first_offset=first))
    folder.close()
    path = folder.path / DAY
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    assert Folder(folder.path).append(batch(3, first_offset=200)) == 0
    assert content(path) == [batch(3), batch(3, first_offset=200)]


def test_positions_come_back(folder: Folder) -> None:
    assert folder.positions() == {}
    folder.append(batch(3))
    folder.settle({("ticklast", 0): 15, ("contracts", 3): 0})
    assert folder.positions() == {("ticklast", 0): 15, ("contracts", 3): 0}


def test_recording_of_another_feed_is_refused(folder: Folder) -> None:
    folder.settle({})
    folder.close()
    with pytest.raises(RecordingError, match="is a recording of all feeds: record energy to another folder"):
        Folder(folder.path, "energy").positions()


def test_unreadable_positions_say_what_to_do(folder: Folder) -> None:
    (folder.path / "positions.json").write_text("{")
    with pytest.raises(RecordingError, match=r"positions\.json cannot be read.*delete it"):
        folder.positions()


def test_second_recorder_is_refused(folder: Folder) -> None:
    with pytest.raises(RecordingError, match="another recorder"):
        Folder(folder.path)
    folder.close()
    Folder(folder.path).close()


def test_full_disk_leaves_the_file_as_it_was(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.append(batch(3))
    path, write = folder.path / DAY, os.write
    before = path.read_bytes()

    def write_half(handle: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", write_half)
    with pytest.raises(RecordingError, match="No space left on device; free or enlarge"):
        folder.append(batch(3, first_offset=100))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert folder.append(batch(3, first_offset=100)) == 3


def test_old_files_are_forgotten_and_found_again(folder: Folder) -> None:
    folder.append(batch(3))
    folder.settle({})
    folder.forget(before_ms=2**43)
    assert folder.append(batch(3)) == 0


def test_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        files.find(tmp_path)
    with pytest.raises(RecordingError, match="cannot be read"):
        list(files.read(tmp_path / "none.ibrec"))
