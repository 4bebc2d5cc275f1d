"""The way of a contract's order book to Kafka, for one epoch. No I/O."""

from __future__ import annotations

from typing import Final

from ibfeed_api.records import DepthRecord, seq_of
from ibfeed_worker.book import Book, LadderStaleness, Rows
from ibfeed_worker.publish import PartitionWriter

STALE: Final = "stale"


class Depth:
    """The order book of one contract in one epoch.

    ``on`` while it is published; it may stop and begin again in an epoch.

    Times are ms since 1970.
    """

    def __init__(self, book: Book, *, writer: PartitionWriter, count: int) -> None:
        """Create a book that is not published yet. ``count``: records of this epoch so far."""
        self.book: Final = book
        self.writer: Final = writer
        self.on = False
        self.silence: Final = LadderStaleness()
        self.refusal = ""  # IB's words, until rows come
        self._count = count
        self._failures = 0

    def start(self, now_ms: int) -> DepthRecord:
        """Begin to publish. The record replaces what an earlier worker, process or epoch left on Kafka."""
        self.on = True
        self.book.reset()
        return self.whole(now_ms)

    def renounce(self, now_ms: int) -> DepthRecord | None:
        """Void what another publisher may have left on Kafka, although no book is published from here."""
        self.book.reset()
        return self._counted(self.book.clear(event_time=now_ms, seq=self._next_seq))

    def stop(self, now_ms: int) -> DepthRecord | None:
        """Stop, since the book is no longer ours to publish. The record tells consumers not to keep it."""
        record = self._clear(now_ms, ())
        self.on = False
        return record

    def restart(self, now_ms: int) -> DepthRecord | None:
        """Forget the rows, since a subscription begins or has ended: its rows come again, or not at all."""
        self.book.restart()
        self.silence.rows()
        return self._clear(now_ms, ())

    def dead(self, now_ms: int) -> DepthRecord | None:
        """Declare the ladder stale: rows should have come and did not."""
        self.book.restart()
        self.silence.rows()
        return self._clear(now_ms, (STALE,))

    def apply(self, found: Rows, event_time: int) -> DepthRecord | None:
        """Merge a frame's rows; return what to publish of them."""
        self.silence.rows()
        self.refusal = ""
        if not self.on:
            self.book.note(found)
            return None
        if self.writer.failures != self._failures:  # consumers lack a record, so a change would mislead them
            self._failures = self.writer.failures
            self.book.reset()
        return self._counted(self.book.apply(found, event_time=event_time, seq=self._next_seq))

    def whole(self, event_time: int) -> DepthRecord:
        """Return the whole book, in place of changes that did not reach Kafka."""
        record = self.book.whole(event_time=event_time, seq=self._next_seq)
        self._count += 1
        return record

    @property
    def last_seq(self) -> int:
        """The number of the latest record."""
        return self._next_seq - 1

    def begin_behind(self, seq: int) -> None:
        """Number all further records above ``seq``."""
        self._count = max(self._count, seq - seq_of(self.writer.epoch, 0))

    @property
    def _next_seq(self) -> int:
        return seq_of(self.writer.epoch, self._count + 1)

    def _clear(self, now_ms: int, flags: tuple[str, ...]) -> DepthRecord | None:
        if not self.on:
            return None
        return self._counted(self.book.clear(event_time=now_ms, seq=self._next_seq, flags=flags))

    def _counted(self, record: DepthRecord | None) -> DepthRecord | None:
        self._count += record is not None
        return record
