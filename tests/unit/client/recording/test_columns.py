"""Columns come back as they were, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed.recording.columns import join_sections, pack_ints, pack_values, split_sections, unpack_ints, unpack_values
from support.recordings import ticks

NUMBERS = st.integers(min_value=-(2**62) + 1, max_value=2**62 - 1)
# Texts that tempt the columns: noughts in front, signs, commas, line feeds, brackets.
CELLS = st.sampled_from(
    [b"0", b"00", b"-1", b"+1", b" 1", b"7", b"12", b"9999999999999999999", b"1.50", b"", b"%d", b'"x"']
)
TAILS = st.sampled_from([b"]}", b'"price"]}', b'"price","size"]}', b"[1,2]]}", b"\n]}", b'1,"a":5]}'])


@st.composite
def similar_values(draw: st.DrawFn) -> list[bytes | None]:
    """Values that are mostly of one form."""
    names = draw(st.lists(st.sampled_from([b'"a"', b'"b:"', b'"%d"']), min_size=1, max_size=4))
    rows = draw(st.integers(min_value=16, max_value=60))
    values: list[bytes | None] = []
    for _ in range(rows):
        fields = [name + b":" + draw(CELLS) for name in names]
        values.append(b"{" + b",".join(fields) + b',"flags":[' + draw(TAILS))
    odd = st.sampled_from([None, b"", b"{}", b"a,b,c[", b'{"a":1,"flags":[]}'])
    for place in draw(st.lists(st.integers(0, rows - 1), max_size=2)):
        values[place] = draw(odd)
    return values


@given(st.lists(NUMBERS, max_size=50))
def test_ints_come_back(numbers: list[int]) -> None:
    assert unpack_ints(pack_ints(numbers), len(numbers)) == numbers


@pytest.mark.parametrize("numbers", [[2**63], [-(2**63) - 1], [0, 2**64], [1, -(2**63)], [0, 2**70, 0]])
def test_ints_beyond_range_are_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="more than 63 bits"):
        pack_ints(numbers)


@pytest.mark.parametrize("numbers", [[2**63 - 1], [-(2**63)], [-(2**62), 2**62 - 1], [0, 2**64 - 1]])
def test_ints_at_the_end_of_the_range_come_back(numbers: list[int]) -> None:
    assert unpack_ints(pack_ints(numbers), len(numbers)) == numbers


def test_ints_of_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        unpack_ints(pack_ints([1, 2, 3]), 4)


@given(st.lists(st.none() | st.binary(max_size=40), max_size=60))
def test_any_values_come_back(values: list[bytes | None]) -> None:
    assert unpack_values(pack_values(values), len(values)) == values


@settings(max_examples=400)
@given(similar_values())
def test_similar_values_come_back(values: list[bytes | None]) -> None:
    assert unpack_values(pack_values(values), len(values)) == values


@pytest.mark.parametrize(
    "row",
    [
        b'{"x":1,"a":%d,"flags":[]}',
        b'{"x":1,"a":-%d,"flags":[]}',
        b'{"x":1,"a":1e%d,"flags":[]}',
        b'{"x":1,"a":%d.0,"flags":[]}',
        b'{"x":1,"a": %d,"flags":[]}',
        b'{"x":1,"a":0%d,"flags":[]}',
        b'{"x":1,"a":%d00000000000000000000,"flags":[]}',
        b'{"x":1,\n"a":%d,"flags":[]}',
        b'{"f":["n":%d,5',
        b'{"f":[a\n"n":%d',
    ],
)
def test_cells_that_are_nearly_numbers_come_back(row: bytes) -> None:
    values: list[bytes | None] = [row % number for number in range(40)]
    assert unpack_values(pack_values(values), 40) == values


@pytest.mark.parametrize("odd", [b'{"a":7,"flags":0}', b'{"a":7,"b":8,"flags":[]}', b'{"flags":[]}'])
def test_odd_value_among_others_comes_back(odd: bytes) -> None:
    values: list[bytes | None] = [b'{"a":%d,"flags":[]}' % number for number in range(40)]
    values[7] = odd
    assert unpack_values(pack_values(values), 40) == values


def test_ticks_are_cut_into_columns() -> None:
    values = [value for _, value in ticks(500)]
    packed = pack_values(values)
    assert packed[0] == 1
    assert len(packed) < sum(map(len, values)) / 5
    assert unpack_values(packed, 500) == values


@given(st.lists(st.binary(max_size=10), max_size=5))
def test_sections_come_back(sections: list[bytes]) -> None:
    assert split_sections(join_sections(sections)) == sections


@pytest.mark.parametrize("data", [b"\x01", b"\x05\x00\x00\x00ab"])
def test_cut_sections_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="section"):
        split_sections(data)
