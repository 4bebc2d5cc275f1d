"""Records come back from a block as they were in Kafka."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed.errors import RecordingError
from ibfeed.recording import frames
from ibfeed.recording.blocks import Block, scan
from ibfeed.recording.frames import Direction, Frames
from ibfeed.recording.records import Batch, Headers, decode, encode, symbol_of
from support.recordings import batch

TEXT = st.text(max_size=8)
SOME_HEADERS: st.SearchStrategy[Headers] = st.lists(st.tuples(TEXT, st.none() | st.binary(max_size=8)), max_size=3).map(
    tuple
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    count = draw(st.integers(1, 40))

    def column(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return Batch(
        draw(TEXT),
        draw(st.integers(0, 2**31 - 1)),
        draw(st.none() | st.binary(max_size=20)),
        sorted(column(st.integers(0, 2**61))),  # type: ignore[arg-type]
        column(st.integers(0, 2**42)),  # type: ignore[arg-type]
        column(SOME_HEADERS),  # type: ignore[arg-type]
        column(st.none() | st.binary(max_size=60)),  # type: ignore[arg-type]
    )


def only_block(data: bytes) -> Block:
    (block,) = scan(data)
    assert isinstance(block, Block)
    return block


@settings(deadline=None)
@given(batches())
def test_records_come_back(given_: Batch) -> None:
    block = only_block(encode(given_))
    assert decode(block) == given_
    summary = block.summary
    assert (summary.first_offset, summary.last_offset) == (given_.offsets[0], given_.offsets[-1])
    assert (summary.first_ns, summary.last_ns) == (min(given_.times) * 1_000_000, max(given_.times) * 1_000_000)


def test_ticks_take_at_most_16_bytes() -> None:
    data = encode(batch(1000))
    assert len(data) / 1000 <= 16
    assert decode(only_block(data)) == batch(1000)


def test_records_behind_an_offset() -> None:
    whole = batch(4)  # offsets 0, 7, 14, 21
    assert whole.after(-1) == whole
    assert (found := whole.after(7)) is not None
    assert found.offsets == [14, 21]
    assert found.values == whole.values[2:]
    assert whole.after(21) is None


def test_symbol_is_that_of_the_first_value_with_one() -> None:
    assert symbol_of([None, b"no json", b"{}", b'{"symbol":"CLZ6"}', b'{"symbol":"NGF7"}']) == "CLZ6"
    assert symbol_of([]) == ""


def test_frames_come_back() -> None:
    given_ = Frames(
        "energy-0", [5, 7, 6], [Direction.RECEIVED, Direction.SENT, Direction.RECEIVED], [b"{}", b"tic", b""]
    )
    assert frames.decode(only_block(frames.encode(given_))) == given_


def test_block_of_another_kind_is_told() -> None:
    with pytest.raises(RecordingError, match="no block of records"):
        decode(only_block(frames.encode(Frames("energy-0", [5], [0], [b"{}"]))))
