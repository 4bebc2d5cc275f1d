"""The time line: sessions, logins, moves and gaps. Pure: the caller has the clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from ibfeed_api.records import FeedEvent
from ibfeed_api.shard import Session

KEEP_MS: Final = 6 * 3600 * 1000
MOST: Final = 4000  # events; a storm of moves must not fill the memory
_NAMED: Final = 6  # symbols of a move that are named

LOGIN: Final = "login"
MOVE: Final = "move"
GAP: Final = "gap"
SESSION: Final = "session"


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened to a feed. ``seq`` grows.

    ``kind`` is ``session`` (``text`` is the worker's new ``shard.Session``), ``login``, ``move`` or ``gap``.
    ``end_ms`` is the end of a gap.
    """

    seq: int
    at_ms: int
    kind: str
    feed: str
    worker: str = ""
    text: str = ""
    end_ms: int = 0


class History:
    """The happenings of the last six hours, and the session of each worker."""

    def __init__(self) -> None:
        self._all: Final[deque[Happening]] = deque(maxlen=MOST)
        self._sessions: Final[dict[tuple[str, str], Happening]] = {}
        self._gaps: Final[dict[tuple[object, ...], None]] = {}
        self.seq = 0

    def session(self, now_ms: int, feed: str, worker: str, before: str | None, after: str | None) -> None:
        """Note a worker's session as its shard reports it. None: there was, or is, no report."""
        if after == before:
            return
        if after is None:
            self._sessions.pop((feed, worker), None)
            self._add(at_ms=now_ms, kind=SESSION, feed=feed, worker=worker, text="Absent")
            return
        self._sessions[feed, worker] = self._add(at_ms=now_ms, kind=SESSION, feed=feed, worker=worker, text=after)
        if after == Session.LOGGING_IN:
            self._add(at_ms=now_ms, kind=LOGIN, feed=feed, worker=worker, text="logs in")

    def moves(
        self, now_ms: int, feed: str, before: Mapping[int, str], after: Mapping[int, str], symbols: Mapping[int, str]
    ) -> None:
        """Note which contracts changed workers. ``before`` and ``after`` map conids to workers."""
        moved: dict[tuple[str, str], list[str]] = {}
        for conid, worker in after.items():
            former = before.get(conid, "")
            if former != worker:
                moved.setdefault((former, worker), []).append(symbols.get(conid, str(conid)))
        for conid, former in before.items():
            if conid not in after:
                moved.setdefault((former, ""), []).append(symbols.get(conid, str(conid)))
        for (former, worker), names in sorted(moved.items()):
            text = f"{_few(names)}: {former or 'no worker'} → {worker or 'no worker'}"
            self._add(at_ms=now_ms, kind=MOVE, feed=feed, worker=worker or former, text=text)

    def event(self, feed: str, event: FeedEvent) -> None:
        """Note a gap that a worker reported on Kafka. The topic is read again from an hour ago at each start."""
        identity = (feed, event.worker, event.conid, event.at_ms)
        if event.kind != "gap" or identity in self._gaps:
            return
        self._gaps[identity] = None
        if len(self._gaps) > MOST:
            del self._gaps[next(iter(self._gaps))]
        start = event.from_ms if event.from_ms is not None else event.at_ms
        end = event.to_ms if event.to_ms is not None else event.at_ms
        text = f"{event.symbol or event.conid or event.worker}: {event.detail}"
        self._add(at_ms=start, kind=GAP, feed=feed, worker=event.worker, text=text, end_ms=max(start, end))

    def since(self, seq: int, now_ms: int, shows: Callable[[str], bool]) -> list[Happening]:
        """Return what came after ``seq`` and is not too old, of the feeds that ``shows`` lets through.

        From the start on (0), the present session of each worker is there even if it began earlier.
        """
        recent: Iterable[Happening] = (one for one in self._all if one.seq > seq and one.at_ms >= now_ms - KEEP_MS)
        found = {one.seq: one for one in recent if shows(one.feed)}
        if seq == 0:
            found |= {one.seq: one for one in self._sessions.values() if shows(one.feed)}
        return [found[number] for number in sorted(found)]

    def _add(self, *, at_ms: int, kind: str, feed: str, worker: str, text: str, end_ms: int = 0) -> Happening:
        self.seq += 1
        one = Happening(seq=self.seq, at_ms=at_ms, kind=kind, feed=feed, worker=worker, text=text, end_ms=end_ms)
        self._all.append(one)
        return one


def _few(names: list[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
