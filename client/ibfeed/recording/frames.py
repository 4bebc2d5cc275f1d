"""Frames of IB's websocket as the body of a block. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from ibfeed.errors import RecordingError
from ibfeed.recording.blocks import Block, BlockKind, Summary, seal
from ibfeed.recording.columns import (
    join_sections,
    pack_ints,
    pack_whole,
    split_sections,
    unpack_ints,
    unpack_values,
)


class Direction(IntEnum):
    """The way of a frame."""

    RECEIVED = 0  # a message of IB, or a piece of one
    SENT = 1  # a command of ours, such as smd+495512572+{...}


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of one websocket, field by field. All lists have the same length, which is not 0.

    Args:
        worker: the worker's name.
        times: when each was received or sent, by the worker's clock, in ns since 1970.
        directions: the ``Direction`` of each.
        payloads: their bytes.
    """

    worker: str
    times: list[int]
    directions: list[int]
    payloads: list[bytes]


class _FramesOrigin(msgspec.Struct, frozen=True):
    """The first section of a body, in JSON."""

    worker: str


def encode(frames: Frames) -> bytes:
    """Return the bytes of a block."""
    summary = Summary(
        kind=BlockKind.FRAMES,
        count=len(frames.times),
        partition=-1,
        first_offset=0,
        last_offset=0,
        first_ns=min(frames.times),
        last_ns=max(frames.times),
    )
    sections = [
        msgspec.json.encode(_FramesOrigin(frames.worker)),
        pack_ints(frames.times),
        pack_ints(frames.directions),
        pack_whole(frames.payloads),
    ]
    return seal(summary, join_sections(sections))


def decode(block: Block) -> Frames:
    """Return the frames of a block. Raises RecordingError, which no damage leads to: checksums tell that first."""
    count = block.summary.count
    try:
        origin, times, directions, payloads = split_sections(block.body())
        return Frames(
            msgspec.json.decode(origin, type=_FramesOrigin).worker,
            unpack_ints(times, count),
            unpack_ints(directions, count),
            [payload or b"" for payload in unpack_values(payloads, count)],
        )
    except (ValueError, IndexError, msgspec.DecodeError) as error:
        raise RecordingError(
            f"the block at byte {block.start} is whole, but is no block of frames ({error}): was it written by another"
            " program?"
        ) from None
