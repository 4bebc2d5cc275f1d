"""A recording's records as events, by the readers' rules: repeated and stale records are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.events import Event
from ibfeed.recording.files import Recording
from ibfeed.recording.records import Batch
from ibfeed.recording.replayer import Selection, days
from ibfeed.recording.schedule import merged
from ibfeed.stream import EventStream, Topics, Wanted


class RecordedMessage:
    """A recorded record in the form in which Kafka's client hands records over."""

    __slots__ = ("_batch", "_place")

    def __init__(self, batch: Batch, place: int) -> None:
        self._batch: Final = batch
        self._place: Final = place

    def topic(self) -> str:
        return self._batch.topic

    def partition(self) -> int:
        return self._batch.partition

    def offset(self) -> int:
        return self._batch.offsets[self._place]

    def key(self) -> bytes | None:
        return self._batch.key

    def value(self) -> bytes | None:
        return self._batch.values[self._place]

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._batch.headers[self._place])

    def timestamp(self) -> tuple[int, int]:
        return 1, self._batch.times[self._place]

    def error(self) -> None:
        return None


def events_of(place: Recording, wanted: Selection, topics: Topics) -> Iterator[Event]:
    """Yield the events of a folder or a file, in the order of time.

    Args:
        place: where the recording is.
        wanted: which records.
        topics: the topics' names in the recording.

    Raises:
        RecordingError: there is no recording, or a file can't be read.
        RecordError: a record cannot be decoded.
    """
    stream = EventStream(topics, Wanted(), skip_unreadable=False)
    known = {topics.ticks, topics.books, topics.events, topics.contracts}
    for day in days(place, wanted):
        for items in merged(day):
            messages = [RecordedMessage(batch, number) for _, _, number, batch in items if batch.topic in known]
            yield from stream.events(messages)
