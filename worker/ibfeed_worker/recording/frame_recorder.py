"""The recorder of raw frames: a bounded queue, and a thread that writes it to files.

The stream only appends to the queue. When the disk is slow or full the queue fills, and then frames are dropped and
counted. The stream never waits.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ibfeed.errors import RecordingError
from ibfeed.recording.files import append, sync
from ibfeed.recording.frames import Direction, Frames, encode
from ibfeed.recording.layout import DAY_MS, FRAMES, SUFFIX, day_of, frames_path
from ibfeed_api.backoff import Backoff
from ibfeed_api.log import Log

_log: Final = Log(__name__)
ROOM_BYTES: Final = 32 * 1024 * 1024  # of the queue: a minute of what IB sends to a busy account, several times over
_ROOM_FRAMES: Final = 200_000
_BLOCK_FRAMES: Final = 2_000
_PAUSE_S: Final = 1.0  # between two looks at the queue; so much is lost at most when the process is killed
_LONGEST_PAUSE_S: Final = 60.0
_CLOSE_S: Final = 5.0
_NS_PER_MS: Final = 1_000_000
_NS_PER_DAY: Final = DAY_MS * _NS_PER_MS

Write = Callable[[Path, bytes], None]  # appends to a file; raises RecordingError


@dataclass(slots=True)
class RecorderCounters:
    """Counts since the process started."""

    frames: int = 0  # that are in files
    bytes: int = 0  # of these files, as far as this process wrote them
    dropped: int = 0  # frames that are in no file: the queue was full, the disk was, or the limit was reached


# When its websocket was opened, when it came or went (both in ns since 1970), its direction, its bytes.
_Entry = tuple[int, int, int, bytes]


class FrameRecorder:
    """One for the worker's whole life. ``opened``, ``received`` and ``sent`` are called by the stream."""

    def __init__(self, folder: Path, worker: str, limit: int, write: Write = append) -> None:
        """Create the recorder; ``start`` begins to write.

        Args:
            folder: where the files are.
            worker: the worker's name.
            limit: bytes that this worker's files may have together, with those of earlier processes.
            write: appends to a file.
        """
        self.counters: Final = RecorderCounters()
        self._folder: Final = folder
        self._worker: Final = worker
        self._limit: Final = limit
        self._append: Final = write
        self._queue: Final[deque[_Entry]] = deque()
        self._opened_ns = 0
        # Two numbers, each changed by one thread, say how many bytes the queue holds.
        self._bytes_in = 0
        self._bytes_out = 0
        self._size = 0
        self._troubled = False
        self._backoff: Final = Backoff(_PAUSE_S, _LONGEST_PAUSE_S)
        self._stop: Final = threading.Event()
        self._unsynced: Final[set[Path]] = set()
        self._thread: Final = threading.Thread(target=self._run, name="frames", daemon=True)

    # Called by the stream. None of these waits.

    def opened(self, at_ns: int) -> None:
        """A websocket was opened: its frames go to a file of their own."""
        self._opened_ns = at_ns

    def received(self, payload: bytes, at_ns: int) -> None:
        """Record a message of IB that came at ``at_ns`` (ns since 1970)."""
        self._add(Direction.RECEIVED, payload, at_ns)

    def sent(self, payload: bytes, at_ns: int) -> None:
        """Record a command of ours."""
        self._add(Direction.SENT, payload, at_ns)

    def _add(self, direction: Direction, payload: bytes, at_ns: int) -> None:
        if len(self._queue) >= _ROOM_FRAMES or self._bytes_in - self._bytes_out + len(payload) > ROOM_BYTES:
            self.counters.dropped += 1
            return
        self._bytes_in += len(payload)
        self._queue.append((self._opened_ns, at_ns, direction, payload))

    # Called by the worker.

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is left, for some seconds at most, and end the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    # The thread.

    def _run(self) -> None:
        self._size = self._size_on_disk()
        while not self._stop.wait(self._drain()):
            pass
        self._drain()
        self._sync(self._unsynced)

    def _drain(self) -> float:
        """Write what the queue holds; return the seconds until the next look."""
        written: set[Path] = set()
        while self._queue:
            entries = self._next_block()
            opened_ns, at_ns = entries[0][:2]
            path = self._folder / frames_path(self._worker, opened_ns, day_of(at_ns // _NS_PER_MS))
            if not self._write(path, entries):
                return self._backoff.next()
            written.add(path)
        if written:
            self._sync(self._unsynced - written)
        return _PAUSE_S

    def _next_block(self) -> list[_Entry]:
        """Take the next frames of one file out of the queue, which is not empty."""
        entries = [self._queue.popleft()]
        file = _file_of(entries[0])
        while self._queue and len(entries) < _BLOCK_FRAMES and _file_of(self._queue[0]) == file:
            entries.append(self._queue.popleft())
        self._bytes_out += sum(len(payload) for _, _, _, payload in entries)
        return entries

    def _write(self, path: Path, entries: list[_Entry]) -> bool:
        """Write a block; return whether the disk took it. If not, its frames are dropped."""
        _, times, directions, payloads = (list(column) for column in zip(*entries, strict=True))
        block = encode(Frames(self._worker, times, directions, payloads))
        try:
            if self._size + len(block) > self._limit:
                raise RecordingError(
                    f"the recordings of this worker have reached {self._limit:,} bytes, spec.recording.sizeLimitGiB:"
                    f" move the files of {self._folder}/{FRAMES} away, or raise it"
                )
            self._append(path, block)
        except RecordingError as error:
            self.counters.dropped += len(entries)
            self._tell(str(error))
            self._size = self._size_on_disk()  # a person may have made room
            return False
        self._size += len(block)
        self.counters.frames += len(entries)
        self.counters.bytes += len(block)
        self._unsynced.add(path)
        self._backoff.reset()
        self._tell("")
        return True

    def _size_on_disk(self) -> int:
        size = 0
        for path in (self._folder / FRAMES).glob(f"*/{self._worker}-*{SUFFIX}"):
            with contextlib.suppress(OSError):  # it was moved away just now
                size += path.stat().st_size
        return size

    def _sync(self, paths: set[Path]) -> None:
        """Have the disk keep files to which nothing is written any more."""
        for path in list(paths):
            self._unsynced.discard(path)
            try:
                sync(path)
            except RecordingError as error:
                self._tell(str(error))

    def _tell(self, trouble: str) -> None:
        """Log that frames are dropped, or are recorded again, when that changes."""
        if bool(trouble) != self._troubled:
            self._troubled = bool(trouble)
            if trouble:
                _log.warning("frames are not recorded", error=trouble)
            else:
                _log.info("frames are recorded again", dropped=self.counters.dropped)


def _file_of(entry: _Entry) -> tuple[int, int]:
    return entry[0], entry[1] // _NS_PER_DAY
