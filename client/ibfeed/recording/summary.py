"""The contents of a folder: a row for each file, by its blocks' headers and the first records."""

from __future__ import annotations

from dataclasses import dataclass

from ibfeed.recording import files, frames, records
from ibfeed.recording.blocks import Block, BlockKind, Damage
from ibfeed.recording.files import File


@dataclass(frozen=True, slots=True)
class Row:
    """One file.

    Args:
        file: where it is.
        kind: ``records`` or ``frames``; empty if it has no whole block.
        topic: Kafka's topic; empty of frames.
        name: the contract's symbol, or else the records' key, or the worker of frames.
        day: the UTC day, as its folder is called.
        count: records or frames.
        first_ns: the earliest time in ns since 1970; None: there is no whole block.
        last_ns: the latest one.
        size: bytes.
        damages: the bytes that belong to no whole block.
    """

    file: File
    kind: str
    topic: str
    name: str
    day: str
    count: int
    first_ns: int | None
    last_ns: int | None
    size: int
    damages: tuple[Damage, ...]

    @property
    def bytes_each(self) -> float | None:
        """Bytes on disk for each record or frame; None if there is none."""
        return self.size / self.count if self.count else None

    @property
    def lost(self) -> int:
        """Bytes that belong to no whole block."""
        return sum(damage.end - damage.start for damage in self.damages)


def summarise(file: File) -> Row:
    """Return the row of one file. Raises RecordingError if it can't be read."""
    found = list(files.read(file))
    blocks = [block for block in found if isinstance(block, Block)]
    kind, topic, name = _origin(blocks[0]) if blocks else ("", "", "")
    return Row(
        file=file,
        kind=kind,
        topic=topic,
        name=name,
        day=files.day_name(file),
        count=sum(block.summary.count for block in blocks),
        first_ns=min((block.summary.first_ns for block in blocks), default=None),
        last_ns=max((block.summary.last_ns for block in blocks), default=None),
        size=files.size_of(file),
        damages=tuple(damage for damage in found if isinstance(damage, Damage)),
    )


def _origin(block: Block) -> tuple[str, str, str]:
    """Return kind, topic and name."""
    if block.summary.kind == BlockKind.FRAMES:
        return "frames", "", frames.decode(block).worker
    batch = records.decode(block)
    key = "" if batch.key is None else batch.key.decode("utf-8", errors="replace")
    return "records", batch.topic, records.symbol_of(batch.values) or key
