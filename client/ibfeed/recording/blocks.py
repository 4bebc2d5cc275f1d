"""One block of a recording: a header of 68 bytes, then a compressed body. Each has a checksum. No I/O.

A block stands for itself: a file is any number of blocks, one after the other. After damage the next block is found by
its marker.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ibfeed.errors import MissingExtraError, RecordingError

try:
    import zstandard
except ImportError:
    raise MissingExtraError("zstandard is not installed: pip install 'ibfeed[record]'") from None

VERSION: Final = 1
MARKER: Final = b"\x89IBREC\r\n"
_LEVEL: Final = 3  # higher levels save a twentieth, and take two to five times as long
_LARGEST_BODY: Final = 256 * 1024 * 1024  # bytes; a larger number in a header is no length
_HEADER: Final = struct.Struct("<8sBBHiIIIqqqqI")  # see docs/recording.md; the header's own checksum follows
_CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CHECKSUM.size


class BlockKind(IntEnum):
    """The kind of a block: what its body holds."""

    RECORDS = 1  # of Kafka
    FRAMES = 2  # of a websocket


@dataclass(frozen=True, slots=True)
class Summary:
    """The description of a body in its block's header.

    Args:
        kind: a ``BlockKind``, or the number of one that this release does not know.
        count: records or frames.
        partition: Kafka's partition; -1: none.
        first_offset: Kafka's offset of the first record; 0 of frames.
        last_offset: Kafka's offset of the last record.
        first_ns: time of the first record, in ns since 1970.
        last_ns: time of the last one.
    """

    kind: int
    count: int
    partition: int
    first_offset: int
    last_offset: int
    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block, as it was found.

    Args:
        start: place of its first byte.
        end: place after its last byte.
        summary: what its header tells.
        packed: its body, compressed.
        size: bytes of its body, decompressed.
    """

    start: int
    end: int
    summary: Summary
    packed: memoryview
    size: int

    def body(self) -> bytes:
        """Return the body, decompressed. Raises RecordingError, which no damage leads to: checksums tell that first."""
        try:
            return zstandard.ZstdDecompressor().decompress(self.packed, max_output_size=self.size)
        except zstandard.ZstdError as error:
            raise RecordingError(
                f"the block at byte {self.start} has the right checksum, but cannot be decompressed ({error}): was it"
                " written by another program?"
            ) from None


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that belong to no whole block.

    Args:
        start: place of the first one.
        end: place after the last one.
        torn: whether they are the file's last ones, as after a crash.
    """

    start: int
    end: int
    torn: bool


def seal(summary: Summary, body: bytes) -> bytes:
    """Return the bytes of a block."""
    packed = zstandard.ZstdCompressor(level=_LEVEL).compress(body)
    header = _HEADER.pack(
        MARKER,
        VERSION,
        summary.kind,
        0,
        summary.partition,
        summary.count,
        len(body),
        len(packed),
        summary.first_offset,
        summary.last_offset,
        summary.first_ns,
        summary.last_ns,
        zlib.crc32(packed),
    )
    return header + _CHECKSUM.pack(zlib.crc32(header)) + packed


def scan(data: bytes | memoryview) -> Iterator[Block | Damage]:
    """Yield the whole blocks of a file, and the damage between and after them, in order.

    Raises RecordingError if a block is whole, but of a version that this release does not know.
    """
    view = memoryview(data)
    place = damaged_from = 0
    while place < len(view):
        block = _block_at(view, place)
        if block is None:
            place = _next_marker(view, place + 1)
            continue
        if damaged_from < place:
            yield Damage(damaged_from, place, torn=False)
        yield block
        place = damaged_from = block.end
    if damaged_from < len(view):
        yield Damage(damaged_from, len(view), torn=True)


def _block_at(view: memoryview, place: int) -> Block | None:
    """Return the block that begins here; None if no whole one does. Raises RecordingError."""
    after_header = place + HEADER_BYTES
    if after_header > len(view) or bytes(view[place : place + len(MARKER)]) != MARKER:
        return None
    header = view[place : place + _HEADER.size]
    if zlib.crc32(header) != _CHECKSUM.unpack_from(view, place + _HEADER.size)[0]:
        return None
    _, version, kind, _, partition, count, size, stored, *numbers, checksum = _HEADER.unpack(header)
    if version != VERSION:
        raise RecordingError(
            f"the block at byte {place} has version {version}, and this release of ibfeed knows {VERSION}: upgrade it"
        )
    packed = view[after_header : after_header + stored]
    if len(packed) < stored or size > _LARGEST_BODY or zlib.crc32(packed) != checksum:
        return None
    return Block(place, after_header + stored, Summary(kind, count, partition, *numbers), packed, size)


def _next_marker(view: memoryview, place: int) -> int:
    """Return the place of the next marker; the end if there is none."""
    step = 1024 * 1024
    while place < len(view):
        found = bytes(view[place : place + step + len(MARKER) - 1]).find(MARKER)
        if found >= 0:
            return place + found
        place += step
    return len(view)
