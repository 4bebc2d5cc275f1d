"""Blocks are found again whatever happens to the bytes around them, and damage is told."""

from __future__ import annotations

import struct
import zlib
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed.errors import RecordingError
from ibfeed.recording.blocks import HEADER_BYTES, MARKER, Block, BlockKind, Damage, Summary, scan, seal


def sealed(number: int) -> bytes:
    return seal(
        Summary(BlockKind.RECORDS, number + 1, 0, number, number, number, number), b"body %d " % number * number
    )


BLOCKS = [sealed(number) for number in range(8)]
FILE = b"".join(BLOCKS)
ENDS = list(accumulate(map(len, BLOCKS)))
EDGES = list(pairwise([0, *ENDS]))


def whole(data: bytes) -> list[int]:
    """The numbers of the whole blocks."""
    return [found.summary.first_offset for found in scan(data) if isinstance(found, Block)]


def damages(data: bytes) -> list[Damage]:
    return [found for found in scan(data) if isinstance(found, Damage)]


def test_blocks_come_back() -> None:
    found = list(scan(FILE))
    assert [(block.start, block.end) for block in found] == EDGES
    assert whole(FILE) == list(range(8))
    assert all(isinstance(b, Block) and b.body() == b"body %d " % n * n for n, b in enumerate(found))


def test_empty_file_has_nothing() -> None:
    assert list(scan(b"")) == []


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, len(FILE)))
def test_truncation_leaves_all_blocks_before_it(cut: int) -> None:
    kept = [number for number, end in enumerate(ENDS) if end <= cut]
    assert whole(FILE[:cut]) == kept
    end_of_kept = ENDS[kept[-1]] if kept else 0
    assert damages(FILE[:cut]) == ([Damage(end_of_kept, cut, torn=True)] if cut > end_of_kept else [])


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.integers(0, 8 * len(FILE) - 1), min_size=1, max_size=4, unique=True))
def test_bit_flips_cost_their_own_blocks_only(bits: list[int]) -> None:
    data = bytearray(FILE)
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    hit = {number for number, (start, end) in enumerate(EDGES) for bit in bits if start <= bit // 8 < end}
    assert whole(bytes(data)) == [number for number in range(8) if number not in hit]
    told = damages(bytes(data))
    assert all(any(damage.start <= bit // 8 < damage.end for damage in told) for bit in bits)
    assert sum(damage.end - damage.start for damage in told) == sum(len(BLOCKS[number]) for number in hit)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(FILE)), st.binary(min_size=1, max_size=200))
def test_foreign_bytes_do_not_hide_later_blocks(place: int, foreign: bytes) -> None:
    inside = [number for number, (start, end) in enumerate(EDGES) if start < place < end]
    # A byte before an equal one leaves the block as it was, and an odd one behind it. So the block may be whole.
    found = [number for number in whole(FILE[:place] + foreign + FILE[place:]) if number not in inside]
    assert found == [number for number in range(8) if number not in inside]


def test_marker_without_a_block_is_passed_over() -> None:
    assert whole(MARKER * 3 + FILE) == list(range(8))
    assert damages(MARKER * 3 + FILE) == [Damage(0, 3 * len(MARKER), torn=False)]


def test_later_version_is_refused() -> None:
    header = bytearray(BLOCKS[0][: HEADER_BYTES - 4])
    header[8] = 2
    data = bytes(header) + struct.pack("<I", zlib.crc32(header)) + BLOCKS[0][HEADER_BYTES:]
    with pytest.raises(RecordingError, match=r"version 2.*upgrade"):
        list(scan(data))
