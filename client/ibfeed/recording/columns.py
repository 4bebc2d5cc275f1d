"""Columns of numbers and texts as few bytes. No I/O.

Ticks of one contract are JSON of one form. So their texts are cut at each comma, and each place becomes a column. A
column is a constant, places in a list of its few values, differences of whole numbers, or lines of text. Each way is
exact: the same bytes come back.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from enum import IntEnum
from itertools import accumulate
from operator import add, sub
from typing import Final, NamedTuple

import msgspec

_INTS: Final = struct.Struct("<qBB")  # first value, width of a difference, whether it is zigzag
_LENGTH: Final = struct.Struct("<I")
_TYPECODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FURTHEST: Final = 1 << 63
_FEWEST: Final = 16  # values that are worth to be cut into columns
_LONGEST_LIST: Final = 256  # values, so that a place is a byte
_SAMPLE: Final = 32
_DIGITS: Final = b"0123456789,"
_decode_ints: Final = msgspec.json.Decoder(list[int]).decode


class _Way(IntEnum):
    """The ways to store a column's cells."""

    CONSTANT = 0
    LISTED = 1
    NUMBERS = 2
    LINES = 3


class _Form(IntEnum):
    """The ways to store a list of values."""

    WHOLE = 0
    CUT = 1


# Sections: a length and so many bytes, one after the other.


def join_sections(sections: Sequence[bytes]) -> bytes:
    """Return the sections as one text, each after its length."""
    return b"".join([part for section in sections for part in (_LENGTH.pack(len(section)), section)])


def split_sections(data: bytes) -> list[bytes]:
    """Return the sections of ``join_sections``. Raises ValueError if the lengths are wrong."""
    sections, place = [], 0
    while place < len(data):
        if place + _LENGTH.size > len(data):
            raise ValueError("a section has no length")
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if place + length > len(data):
            raise ValueError("a section is longer than its block")
        sections.append(data[place : place + length])
        place += length
    return sections


# Numbers.


def pack_ints(numbers: Sequence[int]) -> bytes:
    """Return whole numbers as their differences, byte planes apart: all lowest bytes first.

    Raises ValueError if the first one, or a difference, has not room in 63 bits and a sign.
    """
    if not numbers:
        return b""
    steps = list(map(sub, numbers[1:], numbers))
    lowest, highest = min(steps, default=0), max(steps, default=0)
    zigzag = lowest < 0
    if zigzag:
        steps = [step << 1 if step >= 0 else ~(step << 1) for step in steps]
        highest = max(highest << 1, ~(lowest << 1))
    width = next((width for width in _TYPECODES if highest < 1 << 8 * width), None)
    if width is None or not -_FURTHEST <= numbers[0] < _FURTHEST:
        raise ValueError("a number has more than 63 bits")
    planes = _little(array(_TYPECODES[width], steps)).tobytes()
    return _INTS.pack(numbers[0], width, zigzag) + b"".join([planes[place::width] for place in range(width)])


def unpack_ints(data: bytes, count: int) -> list[int]:
    """Return the numbers of ``pack_ints``. Raises ValueError if they are not ``count``."""
    if not count:
        return []
    if len(data) < _INTS.size:
        raise ValueError("a column of numbers has no first one")
    first, width, zigzag = _INTS.unpack_from(data)
    planes = data[_INTS.size :]
    if width not in _TYPECODES or len(planes) != (count - 1) * width:
        raise ValueError("a column of numbers has not the length that it should have")
    ordered = bytearray(len(planes))
    for place in range(width):
        ordered[place::width] = planes[place * (count - 1) : (place + 1) * (count - 1)]
    steps = array(_TYPECODES[width])
    steps.frombytes(ordered)
    _little(steps)
    differences = [(step >> 1) ^ -(step & 1) for step in steps] if zigzag else steps
    return list(accumulate(differences, add, initial=first))


def _little(numbers: array[int]) -> array[int]:
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        numbers.byteswap()
    return numbers


# Values: any bytes, or None.


def pack_values(values: Sequence[bytes | None]) -> bytes:
    """Return values, cut into columns if all of them are of one form."""
    cut = _cut(values) if len(values) >= _FEWEST else None
    if cut is not None:
        return bytes([_Form.CUT]) + join_sections([_pack_cells(cells) for cells in cut])
    return pack_whole(values)


def pack_whole(values: Sequence[bytes | None]) -> bytes:
    """Return values one after the other, and their lengths. It is quicker, and takes more room."""
    lengths = [-1 if value is None else len(value) for value in values]
    whole = b"".join([value for value in values if value is not None])
    return bytes([_Form.WHOLE]) + join_sections([pack_ints(lengths), whole])


def unpack_values(data: bytes, count: int) -> list[bytes | None]:
    """Return the values of ``pack_values``. Raises ValueError if they are not ``count``, or are no such values."""
    sections = split_sections(data[1:])
    if data[:1] == bytes([_Form.CUT]):
        return _paste([_unpack_cells(section, count) for section in sections], count)
    if data[:1] != bytes([_Form.WHOLE]) or len(sections) != 2:
        raise ValueError("the values are of no form that is known")
    lengths, whole = unpack_ints(sections[0], count), sections[1]
    ends = list(accumulate([max(0, length) for length in lengths]))
    if count and ends[-1] != len(whole):
        raise ValueError("the values have not the length that they should have")
    return [None if size < 0 else whole[end - size : end] for size, end in zip(lengths, ends, strict=True)]


def _cut(values: Sequence[bytes | None]) -> list[list[bytes]] | None:
    """Return the columns of values of one form, the last of them what follows the first ``[``; else None."""
    try:
        heads, brackets, tails = zip(*[value.partition(b"[") for value in values], strict=True)  # type: ignore[union-attr]
    except AttributeError:  # one of them is None
        return None
    if brackets.count(b"[") != len(values):
        return None
    text = b"\n" + b",\n".join(heads)
    cells = text.split(b",")
    width = len(cells) // len(values)
    columns = [cells[place::width] for place in range(width)]
    # A line feed begins each row, and must be nowhere else: so rows are told apart again.
    if text.count(b"\n") != len(values) or len(cells) != width * len(values):
        return None
    if b"\n" in b"".join(tails):
        return None
    return [*columns, list(tails)]


def _paste(columns: Sequence[_Column], count: int) -> list[bytes | None]:
    """Return the values of ``_cut``. Raises ValueError if the columns do not fit together."""
    # The text between two columns that is the same in each value becomes one. So there are few texts to be joined.
    runs: list[list[bytes]] = []
    same = b""
    for place, column in enumerate(columns):
        between = b"" if place == 0 else b"[" if place == len(columns) - 1 else b","
        same += between + column.begin
        if column.cells is not None:
            runs += [[same] * count, column.cells]
            same = b""
    runs.append([same] * count)
    texts = [b""] * (len(runs) * count)
    for place, run in enumerate(runs):
        texts[place :: len(runs)] = run
    before, *values = b"".join(texts).split(b"\n")
    if before or len(values) != count:
        raise ValueError("the columns have not the rows that they should have")
    return [*values]


# Cells: texts without a comma, or without a line feed. One column has one or the other.


def _pack_cells(cells: list[bytes]) -> bytes:
    if cells.count(cells[0]) == len(cells):
        return bytes([_Way.CONSTANT]) + cells[0]
    if len(set(cells[:_SAMPLE])) < _SAMPLE or len(cells) <= _SAMPLE:
        places = dict.fromkeys(cells)
        if len(places) <= min(_LONGEST_LIST, len(cells) // 2):
            lookup = {cell: place for place, cell in enumerate(places)}
            return bytes([_Way.LISTED]) + join_sections([*places, bytes(map(lookup.__getitem__, cells))])
    numbers = _pack_numbers(cells)
    lines = [pack_ints(list(map(len, cells))), b"".join(cells)]
    return bytes([_Way.LINES]) + join_sections(lines) if numbers is None else numbers


def _pack_numbers(cells: list[bytes]) -> bytes | None:
    """Return cells such as ``"size":12`` by their numbers; None if not all of them are of this form."""
    prefix = cells[0][: cells[0].rfind(b":") + 1]
    if not prefix or prefix.startswith(b"\n"):
        return None
    text = (b"\n" + b"\n".join(cells)).replace(b"\n" + prefix, b",")
    if text.translate(None, _DIGITS):
        return None
    try:
        # JSON has no needless noughts. So numbers of nothing but digits give the same digits back.
        numbers = _decode_ints(b"[" + text[1:] + b"]")
        packed = pack_ints(numbers)
    except (msgspec.DecodeError, ValueError):
        return None
    return bytes([_Way.NUMBERS]) + join_sections([prefix, packed]) if len(numbers) == len(cells) else None


class _Column(NamedTuple):
    """A column's cells."""

    begin: bytes  # what each of them begins with
    cells: list[bytes] | None  # what follows in each; None: nothing


def _unpack_cells(data: bytes, count: int) -> _Column:
    way, body = data[:1], data[1:]
    if way == bytes([_Way.CONSTANT]):
        return _Column(body, None)
    sections = split_sections(body)
    if way == bytes([_Way.LISTED]) and len(sections[-1]) == count and max(sections[-1]) < len(sections) - 1:
        return _Column(b"", list(map(sections.__getitem__, sections[-1])))
    if way == bytes([_Way.NUMBERS]) and len(sections) == 2:
        text = msgspec.json.encode(unpack_ints(sections[1], count))[1:-1]  # the quickest way from numbers to digits
        return _Column(sections[0], text.split(b","))
    if way == bytes([_Way.LINES]) and len(sections) == 2:
        ends = list(accumulate(unpack_ints(sections[0], count)))
        starts = [0, *ends[:-1]]
        return _Column(b"", [sections[1][start:end] for start, end in zip(starts, ends, strict=True)])
    raise ValueError("a column is stored in a way that is not known")
