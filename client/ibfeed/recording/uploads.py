"""A recorder's finished files on their way to an object store.

A file is finished when its UTC day is over and nothing was written to it for some minutes. Files only grow, by whole
blocks. So a stored file with as many bytes is the same file, and one that grew later is put there again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from ibfeed.errors import RecordingError
from ibfeed.recording import files
from ibfeed.recording.blocks import Block, Damage
from ibfeed.recording.layout import SUFFIX
from ibfeed.recording.store import Store

QUIET_S: Final = 600.0  # a block waits for 5 minutes at most, so a file that is quiet for longer has all of its day
EVERY_S: Final = 60.0  # between two looks at the folder
_LONGEST_PAUSE_S: Final = 3600.0  # while the store refuses or is away
_FEW: Final = 3  # failures after which the rest waits for the next look
_log: Final = logging.getLogger("ibfeed.recording")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of the folder: its key in the store, bytes, and time of the last write in seconds since 1970."""

    key: str
    size: int
    written_at: float

    @property
    def day(self) -> str:
        """Its UTC day."""
        return PurePosixPath(self.key).parent.name


def finished(found: Iterable[LocalFile], now: float, quiet_s: float) -> list[LocalFile]:
    """Return the files that get no more records, as a rule.

    Args:
        found: the folder's files.
        now: seconds since 1970.
        quiet_s: for how long a file was not written to; 0: that does not matter.
    """
    today = _day(now)
    return [one for one in found if one.day < today and (not quiet_s or now - one.written_at >= quiet_s)]


def old(day: str, now: float, keep_days: int) -> bool:
    """Whether a day lies more than ``keep_days`` whole days back."""
    return day < _day(now - keep_days * 86_400)


class Uploads:
    """The uploads of one folder. A thread makes them; ``removable`` and ``restore`` are for the recorder's own."""

    def __init__(
        self, folder: Path, store: Store, keep_days: int | None, clock: Callable[[], float] = time.time
    ) -> None:
        """Begin with nothing known: the first look asks the store what it has.

        Args:
            folder: the recording.
            store: where its files go, with the same layout.
            keep_days: days after which a file that is in the store goes from the folder; None: never.
            clock: seconds since 1970.
        """
        self.uploaded = 0
        self._folder: Final = folder
        self._store: Final = store
        self._keep_days: Final = keep_days
        self._clock: Final = clock
        self._stored: Final[dict[str, int]] = {}  # bytes by key, as far as it is known
        self._verified: Final[dict[str, int]] = {}  # the same, of what was read back
        self._ending: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="ibfeed-uploads", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def finish(self) -> None:
        """Upload what is left of days that are over, once the thread has ended. Raises RecordingError."""
        failures, waiting = self.look(0.0)
        if failures:
            raise RecordingError(
                f"{waiting} finished files are not in {self._store} ({failures[0]}): the recording is whole in"
                f" {self._folder}, and the same command uploads them"
            )

    def end(self) -> None:
        """End the thread, after the file that is under way."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def removable(self) -> Mapping[Path, int]:
        """Return the files that may go from the folder, and how many bytes of each are in the store."""
        keep = self._keep_days
        if keep is None:
            return {}
        now = self._clock()
        verified = list(self._verified.items())
        return {self._folder / key: size for key, size in verified if old(_day_of(key), now, keep)}

    def restore(self, path: Path) -> None:
        """Get back a file that was removed, for records that came late. Raises RecordingError."""
        key = path.relative_to(self._folder).as_posix()
        if _day_of(key) < _day(self._clock()) and self._store.download(key, path):
            _log.info("%s was fetched from %s, since records of its day came late", key, self._store)

    def look(self, quiet_s: float) -> tuple[list[RecordingError], int]:
        """Upload what is finished and not stored; return the failures, and how many files still wait."""
        now = self._clock()
        failures: list[RecordingError] = []
        todo = finished(self._local(), now, quiet_s)
        waiting = [one for one in todo if self._stored.get(one.key) != one.size]
        self._ask_what_is_stored(waiting, failures)
        for one in todo:
            if len(failures) >= _FEW or (quiet_s and self._ending.is_set()):
                break
            try:
                self._settle(one, now)
            except (RecordingError, OSError) as error:
                failures.append(error if isinstance(error, RecordingError) else RecordingError(str(error)))
        return failures, sum(one.key not in self._stored for one in todo)

    def _settle(self, one: LocalFile, now: float) -> None:
        """Have the store hold a file. Raises RecordingError and OSError."""
        path = self._folder / one.key
        if self._stored.get(one.key) != one.size:
            whole = _whole(path)
            if self._stored.get(one.key) != whole:
                if self._stored.get(one.key, 0) > whole:
                    raise RecordingError(
                        f"{self._store}/{one.key} has {self._stored[one.key]} bytes, and the folder's file {whole}:"
                        " does another recorder upload there? Give each one a place of its own"
                    )
                self._stored.pop(one.key, None)
                self._store.upload(path, whole, one.key)
                self._stored[one.key] = self._verified[one.key] = whole
                self.uploaded += 1
        if self._keep_days is not None and one.key not in self._verified and old(one.day, now, self._keep_days):
            self._store.verify(path, self._stored[one.key], one.key)
            self._verified[one.key] = self._stored[one.key]

    def _ask_what_is_stored(self, waiting: Iterable[LocalFile], failures: list[RecordingError]) -> None:
        try:
            for under in sorted({str(PurePosixPath(one.key).parent) for one in waiting}):
                self._stored.update({found.key: found.size for found in self._store.files(under)})
        except RecordingError as error:
            failures.extend([error] * _FEW)  # the store is away, so no file is tried

    def _local(self) -> list[LocalFile]:
        found = []
        for path in sorted(self._folder.rglob(f"*{SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):  # the recorder has just removed it
                told = path.stat()
                found.append(LocalFile(path.relative_to(self._folder).as_posix(), told.st_size, told.st_mtime))
        return found

    def _run(self) -> None:
        pause = EVERY_S
        while not self._ending.wait(pause):
            try:
                failures, waiting = self.look(QUIET_S)
            except OSError as error:  # the folder cannot be listed
                failures, waiting = [RecordingError(str(error))], 0
            pause = min(_LONGEST_PAUSE_S, 2 * pause) if failures else EVERY_S
            if failures:
                _log.warning(
                    "%d finished files wait for %s, next in %.0f s: %s", waiting, self._store, pause, failures[0]
                )


def _whole(path: Path) -> int:
    """Return the bytes of a file before a torn end, which a crash may have left. Raises RecordingError."""
    end = 0
    for found in files.read(path):
        if isinstance(found, Block) or (isinstance(found, Damage) and not found.torn):
            end = found.end
    return end


def _day(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()


def _day_of(key: str) -> str:
    return PurePosixPath(key).parent.name
