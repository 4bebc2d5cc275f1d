"""Records of Kafka as the body of a block. No I/O.

A block holds records of one topic, one partition and one key, in the order of their offsets.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ibfeed.errors import RecordingError
from ibfeed.recording.blocks import Block, BlockKind, Summary, seal
from ibfeed.recording.columns import (
    join_sections,
    pack_ints,
    pack_values,
    split_sections,
    unpack_ints,
    unpack_values,
)

Headers = tuple[tuple[str, bytes | None], ...]
Place = tuple[str, int]  # topic, partition

NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one topic, partition and key, field by field. All lists have the same length, which is not 0.

    Args:
        topic: Kafka's topic.
        partition: its partition.
        key: the records' key.
        offsets: Kafka's offsets; they grow.
        times: Kafka's times, in ms since 1970.
        headers: the headers of each record, in order.
        values: the values; None is a tombstone.
    """

    topic: str
    partition: int
    key: bytes | None
    offsets: list[int]
    times: list[int]
    headers: list[Headers]
    values: list[bytes | None]

    def after(self, offset: int) -> Batch | None:
        """Return the records behind an offset; None if there are none."""
        first = bisect_right(self.offsets, offset)
        if first == len(self.offsets):
            return None
        return self.only(range(first, len(self.offsets))) if first else self

    def only(self, places: Sequence[int]) -> Batch:
        """Return the records of these places."""
        return Batch(
            self.topic,
            self.partition,
            self.key,
            [self.offsets[place] for place in places],
            [self.times[place] for place in places],
            [self.headers[place] for place in places],
            [self.values[place] for place in places],
        )


class _RecordsOrigin(msgspec.Struct, frozen=True):
    """The first section of a body, in JSON. Bytes are base64."""

    topic: str
    key: bytes | None
    headers: list[Headers]  # those that occur


_decode_origin: Final = msgspec.json.Decoder(_RecordsOrigin).decode


def encode(batch: Batch) -> bytes:
    """Return the bytes of a block."""
    known, which = _listed(batch.headers)
    summary = Summary(
        kind=BlockKind.RECORDS,
        count=len(batch.offsets),
        partition=batch.partition,
        first_offset=batch.offsets[0],
        last_offset=batch.offsets[-1],
        first_ns=min(batch.times) * NS_PER_MS,
        last_ns=max(batch.times) * NS_PER_MS,
    )
    sections = [
        msgspec.json.encode(_RecordsOrigin(batch.topic, batch.key, known)),
        pack_ints(batch.offsets),
        pack_ints(batch.times),
        pack_ints(which),
        pack_values(batch.values),
    ]
    return seal(summary, join_sections(sections))


def decode(block: Block) -> Batch:
    """Return the records of a block. Raises RecordingError, which no damage leads to: checksums tell that first."""
    count = block.summary.count
    try:
        origin, offsets, times, headers, values = split_sections(block.body())
        found = _decode_origin(origin)
        return Batch(
            found.topic,
            block.summary.partition,
            found.key,
            unpack_ints(offsets, count),
            unpack_ints(times, count),
            _of_each(found.headers, unpack_ints(headers, count)),
            unpack_values(values, count),
        )
    except (ValueError, IndexError, msgspec.DecodeError) as error:
        raise RecordingError(
            f"the block at byte {block.start} is whole, but is no block of records ({error}): was it written by another"
            " program?"
        ) from None


def _listed(headers: Sequence[Headers]) -> tuple[list[Headers], list[int]]:
    """Return the headers that occur, and for each record the place of its own among them."""
    if headers.count(headers[0]) == len(headers):  # as a rule: to hash them takes long
        return [headers[0]], [0] * len(headers)
    places = {found: place for place, found in enumerate(dict.fromkeys(headers))}
    return list(places), list(map(places.__getitem__, headers))


def _of_each(known: list[Headers], which: list[int]) -> list[Headers]:
    return known * len(which) if len(known) == 1 else list(map(known.__getitem__, which))


def symbol_of(values: Sequence[bytes | None]) -> str:
    """Return the symbol that the first value with one names; empty if none does."""
    for value in values:
        try:
            if value is not None and (symbol := _decode_symbol(value).symbol):
                return symbol
        except msgspec.DecodeError:
            continue
    return ""


class _Named(msgspec.Struct, frozen=True):
    symbol: str | None = None


_decode_symbol: Final = msgspec.json.Decoder(_Named).decode
