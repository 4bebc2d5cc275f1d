"""From Kafka into a folder, each record once.

A restart reads Kafka from the first record that may be missing, and a record that its file has already is not written
again. Kafka's consumer groups have no part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ibfeed.recording.assembler import Assembler
from ibfeed.recording.files import Folder
from ibfeed.recording.plain import PlainValues
from ibfeed.recording.source import Kafka, RecordSource
from ibfeed.recording.uploads import Uploads
from ibfeed.registry import SchemaRegistry

SETTLE_S: Final = 10.0  # between two times that the disk is asked to keep what was written
TOPICS: Final = ("ticklast", "l2-data", "feed-events", "contracts")


@dataclass(frozen=True, slots=True)
class Order:
    """The records that are wanted.

    Args:
        kafka: where the topics are.
        topics: their names.
        feed: the IbFeed; records of others on the same topics are left out. None: all.
        start_ms: from when on to record at the first time, in ms since 1970; None: all that Kafka has.
        once: end when all that the topics hold at the start is recorded.
        registry: the schema registry of a feed that writes Avro. Its records are recorded as JSON.
    """

    kafka: Kafka
    topics: Collection[str]
    feed: str | None
    start_ms: int | None
    once: bool
    registry: SchemaRegistry | None = None


@dataclass(slots=True)
class Progress:
    """Counts since the start: records read, in files, and left out; files uploaded."""

    read: int = 0
    written: int = 0
    left_out: int = 0
    uploaded: int = 0


def record(
    order: Order,
    path: Path,
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
    uploads: Uploads | None = None,
) -> Progress:
    """Record until told to stop, or until the end if the order has one.

    Args:
        order: what to record.
        path: the folder.
        on_progress: called after each batch.
        stop: whether to end; asked after each batch, at least ten times a second.
        uploads: of the folder's finished files; None: they stay where they are.

    Raises:
        KafkaUnreachableError: no broker answers at the start.
        KafkaRefusedError: Kafka refuses.
        MissingTopicError: a topic is not there.
        RegistryError: the feed writes Avro, and its registry is not named, or refuses.
        RecordingError: the folder can't be read or written, or is another recorder's or feed's.
    """
    folder = Folder(path, order.feed) if uploads is None else Folder(path, order.feed, uploads.restore)
    try:
        source = RecordSource(order.kafka, order.topics, folder.positions(), order.start_ms, once=order.once)
        try:
            if uploads is not None:
                uploads.start()
            progress = _record(order, folder, source, on_progress, stop, uploads)
        finally:
            source.close()
            if uploads is not None:
                uploads.end()
        if uploads is not None:
            uploads.finish()
            _remove_uploaded(folder, uploads, progress)
        return progress
    finally:
        folder.close()


def _remove_uploaded(folder: Folder, uploads: Uploads, progress: Progress) -> None:
    for path, size in uploads.removable().items():
        folder.remove(path, size)
    progress.uploaded = uploads.uploaded


def _record(
    order: Order,
    folder: Folder,
    source: RecordSource,
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
    uploads: Uploads | None,
) -> Progress:
    progress = Progress()
    values = PlainValues(order.registry, order.feed, stop)
    assembler = Assembler(order.feed, source.starts)
    folder.settle(assembler.positions())  # where "from now" was, in case that it ends before its first block
    settle_at = time.monotonic() + SETTLE_S
    while not stop() and not source.finished:
        messages = values.plain(source.fetch())
        now = time.monotonic()
        for batch in assembler.add(messages, now):
            progress.written += folder.append(batch)
        progress.read += len(messages)
        progress.left_out = assembler.left_out
        if now >= settle_at:
            for batch in assembler.overdue(now):
                progress.written += folder.append(batch)
            folder.settle(assembler.positions())
            folder.forget(int((time.time() - 2 * 86_400) * 1000))
            if uploads is not None:
                _remove_uploaded(folder, uploads, progress)
            settle_at = now + SETTLE_S
        on_progress(progress)
    for batch in assembler.rest():
        progress.written += folder.append(batch)
    folder.settle(assembler.positions())
    on_progress(progress)
    return progress
