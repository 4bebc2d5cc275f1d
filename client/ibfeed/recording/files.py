"""Recordings on disk: reading, mending what a crash left, appending, and how far Kafka is recorded."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, overload

import msgspec

from ibfeed.errors import RecordingError
from ibfeed.recording import records
from ibfeed.recording.blocks import Block, Damage, scan
from ibfeed.recording.layout import LOCK, POSITIONS, SUFFIX, day_of, records_path
from ibfeed.recording.records import Batch, Place
from ibfeed.recording.store import Store, StoredFile, is_address, store_at

Recording = Path | Store  # a folder or a file, here or in an object store
File = Path | StoredFile

_log: Final = logging.getLogger("ibfeed.recording")


def read(file: File) -> Iterator[Block | Damage]:
    """Yield the whole blocks of a file and the damage between them. Raises RecordingError if it can't be read."""
    try:
        yield from scan(file.mapped() if isinstance(file, StoredFile) else _mapped(file))
    except (OSError, RecordingError) as error:
        raise RecordingError(f"{file} cannot be read: {_why(error)}") from None


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")


@overload
def find(place: Path) -> list[Path]: ...
@overload
def find(place: Store) -> list[StoredFile]: ...
def find(place: Recording) -> list[Path] | list[StoredFile]:
    """Return the files of a folder or a store, or the one file. Raises RecordingError if there is none."""
    found: list[Path] | list[StoredFile]
    if isinstance(place, Store):
        found = place.files()
    else:
        found = [place] if place.is_file() else sorted(place.rglob(f"*{SUFFIX}"))
    if not found:
        raise RecordingError(
            f"{place} holds no recording: name a file {SUFFIX}, the folder of `ibfeed record --to`, or the address of"
            " --upload"
        )
    return found


def place_of(text: str) -> Recording:
    """Return the place that a user named: a path, or a store's address. Raises RecordingError."""
    return store_at(text) if is_address(text) else Path(text)


def day_name(file: File) -> str:
    """Return the name of the folder that a file is in: its UTC day."""
    return file.day if isinstance(file, StoredFile) else file.absolute().parent.name


def size_of(file: File) -> int:
    """Return the bytes of a file."""
    return file.size if isinstance(file, StoredFile) else file.stat().st_size


def append(path: Path, data: bytes) -> None:
    """Append whole blocks to a file. If that fails, the file is as before. Raises RecordingError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                _write_all(file.fileno(), data)
            except OSError:
                with contextlib.suppress(OSError):  # what is left is a torn tail, which readers pass over
                    os.ftruncate(file.fileno(), before)
                raise
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {_why(error)}; free or enlarge the disk") from None


def sync(path: Path) -> None:
    """Have the disk keep a file, and its name, over a loss of power. Raises RecordingError."""
    try:
        for place in (path, path.parent):
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise RecordingError(f"{path} cannot be kept: {_why(error)}") from None


class Folder:
    """The folder that one recorder writes to. A second recorder is refused.

    Kafka's offsets make a record unique: a record that its file has already is not written again.
    """

    def __init__(self, path: Path, feed: str | None = None, restore: Callable[[Path], None] = lambda _: None) -> None:
        """Open the folder, and make it if it is not there.

        Args:
            path: the folder.
            feed: the IbFeed whose records it gets; None: all.
            restore: called before a file is made that is not there: it may have been removed once it was uploaded.

        Raises:
            RecordingError: the folder can't be used, or another recorder writes to it.
        """
        self.path: Final = path
        self._feed: Final = feed
        self._restore: Final = restore
        self._last: Final[dict[Path, dict[int, int]]] = {}  # by file and partition, the last offset
        self._unsettled: Final[set[Path]] = set()
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock: Final = (path / LOCK).open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordingError(f"another recorder writes to {path}: end it, or name another folder") from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be used: {_why(error)}") from None

    def append(self, batch: Batch) -> int:
        """Write the records that their file does not have yet; return how many. Raises RecordingError."""
        path = self.path / records_path(batch.topic, batch.key, day_of(batch.times[0]))
        last = self._last.get(path)
        if last is None:
            if not path.exists():
                self._restore(path)
            last = self._last[path] = _mend(path)
        new = batch.after(last.get(batch.partition, -1))
        if new is None:
            return 0
        append(path, records.encode(new))
        last[batch.partition] = new.offsets[-1]
        self._unsettled.add(path)
        return len(new.offsets)

    def settle(self, positions: Mapping[Place, int]) -> None:
        """Have the disk keep what was written, and then that all before ``positions`` is. Raises RecordingError."""
        for path in sorted(self._unsettled):
            sync(path)
        self._unsettled.clear()
        kept = _Positions([_Position(*place, offset) for place, offset in sorted(positions.items())], self._feed)
        fresh = self.path / f"{POSITIONS}.new"
        try:
            fresh.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1))
            sync(fresh)
            fresh.replace(self.path / POSITIONS)
        except OSError as error:
            raise RecordingError(f"{fresh} cannot be written: {_why(error)}; free or enlarge the disk") from None
        sync(self.path / POSITIONS)

    def positions(self) -> dict[Place, int]:
        """Return the offset to go on from, by partition; empty at the first time. Raises RecordingError."""
        path = self.path / POSITIONS
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Positions)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise RecordingError(
                f"{path} cannot be read: {_why(error)}; delete it, and Kafka is read again from --start on: the files"
                " tell which records they have"
            ) from None
        if kept.feed != self._feed:
            was, now = kept.feed or "all feeds", self._feed or "all feeds"
            raise RecordingError(f"{self.path} is a recording of {was}: record {now} to another folder")
        return {(place.topic, place.partition): place.next_offset for place in kept.positions}

    def forget(self, before_ms: int) -> None:
        """Forget the files of days before a time: nothing is written to them any more."""
        oldest = day_of(before_ms).isoformat()
        for path in [path for path in self._last if path.parent.name < oldest and path not in self._unsettled]:
            del self._last[path]

    def remove(self, path: Path, size: int) -> None:
        """Remove a file, unless it has come to have more bytes than these. Raises RecordingError."""
        try:
            if path in self._unsettled or not path.exists() or path.stat().st_size > size:
                return
            path.unlink()
        except OSError as error:
            raise RecordingError(f"{path} cannot be removed: {_why(error)}") from None
        self._last.pop(path, None)
        with contextlib.suppress(OSError):  # other contracts' files are in it
            path.parent.rmdir()

    def close(self) -> None:
        """Let another recorder write."""
        self._lock.close()


class _Position(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    next_offset: int


class _Positions(msgspec.Struct, frozen=True):
    positions: list[_Position]
    feed: str | None
    version: int = 1


def _mend(path: Path) -> dict[int, int]:
    """Cut off what a crash left at the end of a file; return the last offset of each partition."""
    last: dict[int, int] = {}
    if not path.exists():
        return last
    for found in read(path):
        if isinstance(found, Block):
            last[found.summary.partition] = found.summary.last_offset
            continue
        _log.warning("%s is damaged: bytes %d to %d are lost", path, found.start, found.end)
        if found.torn:
            os.truncate(path, found.start)
    return last


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
