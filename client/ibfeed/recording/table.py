"""Recordings as Parquet, by the readers' rules and columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ibfeed.errors import MissingExtraError, RecordingError
from ibfeed.events import Event
from ibfeed.frames import to_arrow
from ibfeed.recording.events import events_of
from ibfeed.recording.files import Recording
from ibfeed.recording.replayer import Selection
from ibfeed.stream import Topics

_ROWS: Final = 50_000  # events of a row group


def export(
    place: Recording,
    target: Path,
    kind: type[Event],
    wanted: Selection,
    topics: Topics,
    on_progress: Callable[[int], None],
) -> int:
    """Write the events of one kind to a Parquet file; return how many rows it has.

    Repeated and stale records are left out, as for any reader.

    Args:
        place: a recording, or one of its files.
        target: the Parquet file. It appears when it is whole.
        kind: such as ``ibfeed.Tick``.
        wanted: which records.
        topics: the topics' names in the recording.
        on_progress: called with the rows so far.

    Raises:
        MissingExtraError: pyarrow is not installed.
        RecordingError: there is nothing to export, or a file can't be read or written.
        RecordError: a record cannot be decoded.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("pyarrow is not installed: pip install 'ibfeed[record]'") from None
    fresh = target.with_name(f"{target.name}.part")
    rows, writer = 0, None
    try:
        for events in _portions(events_of(place, wanted, topics), kind):
            table = to_arrow(events, kind)
            writer = writer or parquet.ParquetWriter(fresh, table.schema, compression="zstd")
            writer.write_table(table)
            rows += table.num_rows
            on_progress(rows)
        if writer is None:
            raise RecordingError(f"{place} has no {kind.__name__} of that time and those symbols")
        writer.close()
        fresh.replace(target)
    except OSError as error:
        raise RecordingError(f"{target} cannot be written: {error.strerror or error}") from None
    return rows


def _portions(events: Iterator[Event], kind: type[Event]) -> Iterator[list[Event]]:
    portion: list[Event] = []
    for event in events:
        if type(event) is kind:
            portion.append(event)
            if len(portion) >= _ROWS:
                yield portion
                portion = []
    if portion:
        yield portion
