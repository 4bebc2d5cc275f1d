"""Finished files reach a store whole, and leave the folder only when they did. The store is obstore's, in memory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from ibfeed.errors import RecordingError
from ibfeed.recording import files
from ibfeed.recording.blocks import Block
from ibfeed.recording.files import Folder
from ibfeed.recording.layout import day_of, records_path
from ibfeed.recording.records import Batch, decode
from ibfeed.recording.replayer import Selection, days
from ibfeed.recording.store import Store, store_at
from ibfeed.recording.uploads import QUIET_S, LocalFile, Uploads, finished, old
from support.recordings import DAY_MS, START_MS, batch

START_S = START_MS / 1000
KEY = str(records_path("ticklast", b"495512572", day_of(START_MS)))


@dataclass
class Clock:
    now: float

    def __call__(self) -> float:
        return self.now


@dataclass
class Stage:
    """A recorder's folder with a block of the first day, and a store. It is the second day."""

    folder: Folder
    objects: MemoryStore
    uploads: Uploads
    clock: Clock

    @property
    def path(self) -> Path:
        return self.folder.path / KEY

    def write(self, wanted: Batch) -> int:
        written = self.folder.append(wanted)
        self.folder.settle({})
        return written

    def upload(self) -> tuple[list[RecordingError], int]:
        return self.uploads.look(0.0)

    def stored(self) -> bytes:
        return bytes(obstore.get(self.objects, KEY).bytes())

    def remove_old(self) -> None:
        for path, size in self.uploads.removable().items():
            self.folder.remove(path, size)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    objects, clock = MemoryStore(), Clock(START_S + 86_400 + 1)
    uploads = Uploads(tmp_path, Store("s3://bucket/prefix", objects), keep_days=3, clock=clock)
    on = Stage(Folder(tmp_path, None, uploads.restore), objects, uploads, clock)
    on.write(batch(3))
    return on


def test_file_of_a_day_that_is_over_is_uploaded_once(stage: Stage) -> None:
    assert stage.upload() == ([], 0)
    assert stage.stored() == stage.path.read_bytes()
    assert stage.upload() == ([], 0)
    assert stage.uploads.uploaded == 1


def test_file_of_today_stays(stage: Stage) -> None:
    stage.clock.now -= 2
    assert stage.upload() == ([], 0)
    assert not stage.uploads.uploaded


def test_restart_uploads_only_what_is_not_there(stage: Stage) -> None:
    stage.upload()
    fresh = Uploads(stage.folder.path, Store("s3://bucket/prefix", stage.objects), keep_days=None)
    assert fresh.look(0.0) == ([], 0)
    assert fresh.uploaded == 0
    obstore.delete(stage.objects, KEY)
    fresh = Uploads(stage.folder.path, Store("s3://bucket/prefix", stage.objects), keep_days=None)
    assert fresh.look(0.0) == ([], 0)
    assert fresh.uploaded == 1


def test_torn_end_is_not_uploaded(stage: Stage) -> None:
    whole = stage.path.read_bytes()
    stage.path.write_bytes(whole + whole[:-1])
    assert stage.upload() == ([], 0)
    assert stage.stored() == whole


def test_late_records_are_uploaded_too(stage: Stage) -> None:
    stage.upload()
    stage.write(batch(3, first_offset=100))
    stage.upload()
    assert stage.stored() == stage.path.read_bytes()


def test_old_file_leaves_the_folder_only_when_stored(stage: Stage) -> None:
    stage.upload()
    stage.remove_old()
    assert stage.path.exists()  # it is not old
    stage.clock.now += 4 * 86_400
    stage.write(batch(3, first_offset=100))
    stage.remove_old()
    assert stage.path.exists()  # it has more than the store
    stage.upload()
    stage.remove_old()
    assert not stage.path.exists()


def test_records_that_come_late_for_a_removed_file(stage: Stage) -> None:
    stage.upload()
    stage.clock.now += 4 * 86_400
    stage.remove_old()
    assert not stage.path.exists()
    assert stage.write(batch(3)) == 0  # they are in the store
    assert stage.write(batch(3, first_offset=100)) == 3
    stage.upload()
    found = [decode(one) for one in files.read(stage.path) if isinstance(one, Block)]
    assert [offset for one in found for offset in one.offsets] == [0, 7, 14, 100, 107, 114]
    assert stage.stored() == stage.path.read_bytes()


def test_what_another_recorder_uploaded_is_not_overwritten(stage: Stage) -> None:
    theirs = stage.path.read_bytes() * 2
    obstore.put(stage.objects, KEY, theirs)
    (error,), _ = stage.upload()
    assert "another recorder" in str(error)
    assert stage.stored() == theirs


def test_old_file_that_the_store_has_otherwise_stays(stage: Stage) -> None:
    """As many bytes are no proof for a removal: they are read back."""
    obstore.put(stage.objects, KEY, b"x" * stage.path.stat().st_size)
    stage.clock.now += 4 * 86_400
    (error,), _ = stage.upload()
    assert "is not what was written there" in str(error)
    stage.remove_old()
    assert stage.path.exists()


class Away(Store):
    def __init__(self) -> None:
        super().__init__("s3://bucket/prefix", MemoryStore())

    def files(self, under: str = "") -> Any:
        raise RecordingError("the store is away")


def test_store_that_is_away_is_told_at_the_end(stage: Stage) -> None:
    uploads = Uploads(stage.folder.path, Away(), keep_days=1, clock=stage.clock)
    with pytest.raises(RecordingError, match="1 finished files are not in s3://bucket/prefix"):
        uploads.finish()
    assert not uploads.removable()


def test_finished_is_over_and_quiet() -> None:
    now = START_S + 86_400 + 3600
    one = LocalFile(KEY, 10, now - QUIET_S)
    assert finished([one], now, QUIET_S) == [one]
    assert finished([dataclasses.replace(one, written_at=now - 1)], now, QUIET_S) == []
    assert finished([one], now - 3601, 0.0) == []


def test_days_that_are_kept() -> None:
    day = day_of(START_MS).isoformat()
    assert not old(day, START_S + 3 * 86_400 + 86_399, 3)
    assert old(day, START_S + 4 * 86_400, 3)


def test_recording_is_read_from_the_store(stage: Stage) -> None:
    later = dataclasses.replace(batch(3), times=[START_MS + DAY_MS] * 3)
    stage.write(later)
    stage.clock.now += 86_400
    stage.upload()
    store = Store("s3://bucket/prefix", stage.objects)
    found = [one for day in days(store, Selection()) for batches in day for one in batches]
    assert [one.times for one in found] == [batch(3).times, later.times]
    assert [files.day_name(file) for file in files.find(store)] == ["2026-11-26", "2026-11-27"]


def test_days_outside_the_wanted_time_are_not_read(stage: Stage) -> None:
    stage.upload()
    broken = Store("s3://bucket/prefix", stage.objects)
    broken.parts = None  # type: ignore[method-assign, assignment]
    assert list(days(broken, Selection(from_ms=START_MS + DAY_MS))) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ftp://host/recording", "no object store that is known"),
        ("s3://key:secret@bucket/recording", "by the environment"),
        ("abfss://c@account.dfs.core.windows.net/x?sig=secret", "by the environment"),
    ],
)
def test_refused_address_shows_no_secret(address: str, said: str) -> None:
    with pytest.raises(RecordingError, match=said) as caught:
        store_at(address)
    assert "secret" not in str(caught.value)


def test_refusal_is_told_in_a_line_without_signatures() -> None:
    answer = "denied GET https://a.blob/x?sig=secret 403: <?xml version='1.0'?><Message>Not yours.\nTime:1</Message>"
    with pytest.raises(RecordingError) as caught, Store("s3://b", MemoryStore())._errors("cannot be listed"):
        raise ValueError(answer)
    told = "s3://b cannot be listed: denied GET https://a.blob/x 403: Not yours.; check"
    assert str(caught.value).startswith(told)
