"""The ground truth: each frame and its receivers, so that a test can prove "nothing lost, nothing doubled".

One entry is a frame and the sessions that it went to, which are many in common mode. One line of the log is an entry
and one of its sessions. Entries are kept in a ring. The lines are written out only when they are read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

Kind = Literal["full", "delta", "renewal", "bare", "ladder"]
"""First frame, later frames, the full frame after a renewed subscription, a frame without conid, order book rows."""

RING: Final = 300_000


@dataclass(frozen=True)
class Receiver:
    """One websocket of a session, with its prepared part of a line."""

    username: str
    text: bytes

    @classmethod
    def of(cls, username: str, session: str, connection: int) -> Receiver:
        document = {"username": username, "session": session, "connection": connection}
        return cls(username, msgspec.json.encode(document)[1:-1])


@dataclass(frozen=True)
class Entry:
    """One frame and its receivers. ``duplicates`` are receivers that had this ``_updated`` before."""

    number: int
    at_ms: int
    kind: Kind
    conid: int
    updated: int
    frame: bytes
    receivers: tuple[Receiver, ...]
    duplicates: frozenset[Receiver]

    def lines(self, username: str | None = None) -> Iterator[bytes]:
        head = (
            f'{{"n":{self.number},"at_ms":{self.at_ms},"kind":"{self.kind}","conid":{self.conid},"updated":{self.updated},'
        ).encode()
        tail = b',"frame":' + self.frame + b"}\n"
        for receiver in self.receivers:
            if username in (None, receiver.username):
                mark = b',"duplicate":true' if receiver in self.duplicates else b',"duplicate":false'
                yield head + receiver.text + mark + tail


class Truth:
    def __init__(self, file: Path | None = None, ring: int = RING) -> None:
        self._entries: deque[Entry] = deque(maxlen=ring)
        self._next = 1
        self._file: IO[bytes] | None = file.open("ab", buffering=1 << 20) if file is not None else None

    def add(
        self,
        at_ms: int,
        kind: Kind,
        conid: int,
        updated: int,
        frame: bytes,
        receivers: tuple[Receiver, ...],
        duplicates: frozenset[Receiver] = frozenset(),
    ) -> None:
        entry = Entry(self._next, at_ms, kind, conid, updated, frame, receivers, duplicates)
        self._next += 1
        self._entries.append(entry)
        if self._file is not None:
            self._file.writelines(entry.lines())

    @property
    def next(self) -> int:
        """The number of the next entry: a cursor for "from now on"."""
        return self._next

    def since(self, number: int, limit: int) -> tuple[list[Entry], int]:
        """Return entries from ``number`` on, at most ``limit``, and how many of them the ring has already lost."""
        if not self._entries:
            return [], max(0, self._next - number) if number < self._next else 0
        first = self._entries[0].number
        lost = max(0, first - number)
        begin = max(0, number - first)
        if begin >= len(self._entries):
            return [], lost
        return list(islice(self._entries, begin, begin + limit)), lost

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
