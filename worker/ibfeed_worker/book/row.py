"""Rows of a price ladder, read from the ``data`` of an ``sbd`` frame."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

import msgspec

from ibfeed_api.records import Number
from ibfeed_worker.ticks import NumberError, NumberReading, read

_LONGEST_ROW: Final = 4  # digits; no ladder has more rows, and so the rows kept of one are bounded
_LONGEST_CONID: Final = 18


@dataclass(frozen=True, slots=True)
class Level:
    """A price and the size that waits there: as numbers to compare, and as IB's digits to publish."""

    price: Decimal
    size: Decimal
    digits: tuple[Number, Number]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a frame. IB sends one of ``bid`` and ``ask``, or neither where nothing waits.

    If it is not ``readable``, it is not known any more what waits there.
    """

    row: int
    bid: Level | None = None
    ask: Level | None = None
    readable: bool = True


class Rows(NamedTuple):
    """A frame's rows in order, and the number of pieces whose row could not even be told."""

    rows: tuple[Row, ...]
    unplaced: int


class _Wire(msgspec.Struct):
    """A row as its fields' JSON text, whatever type IB gives them.

    ``focus`` (the last trade's row) is no order and left out.
    """

    row: msgspec.Raw = msgspec.Raw()
    price: msgspec.Raw = msgspec.Raw()
    bid: msgspec.Raw = msgspec.Raw()
    ask: msgspec.Raw = msgspec.Raw()


_list_decoder: Final = msgspec.json.Decoder(list[msgspec.Raw])
_row_decoder: Final = msgspec.json.Decoder(_Wire)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def conid_of(topic: str) -> int | None:
    """Return the contract of ``sbd+ACCOUNT+CONID`` or ``sbd+ACCOUNT+CONID+EXCHANGE``; None if there is none."""
    parts = topic.split("+")
    text = parts[2].partition("@")[0] if len(parts) in (3, 4) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_CONID else None


def rows_of(data: bytes) -> Rows:
    """Read ``data``, the JSON text of a list of rows; empty if the frame has none. Never raises."""
    if data in (b"", b"null"):
        return Rows((), 0)
    try:
        elements = _list_decoder.decode(data)
    except _UNREADABLE:
        return Rows((), 1)
    found = [_row(bytes(element)) for element in elements]
    rows = tuple(row for row in found if row is not None)
    return Rows(rows, len(found) - len(rows))


def _row(element: bytes) -> Row | None:
    try:
        wire = _row_decoder.decode(element)
        number = _text(wire.row)
    except _UNREADABLE:
        return None
    if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST_ROW):
        return None
    row = int(number)
    try:
        # The field is the price alone, or ``size @ price`` with the size of the last trade there.
        price = read(_text(wire.price).rpartition("@")[2])
        return Row(row, _level(price, read(_text(wire.bid))), _level(price, read(_text(wire.ask))))
    except (*_UNREADABLE, NumberError):
        return Row(row, readable=False)


def _level(price: NumberReading | None, size: NumberReading | None) -> Level | None:
    """Return the level, or None if no size waits there.

    Raises NumberError for a size without a price, or a negative one.
    """
    if size is None:
        return None
    quantity = Decimal(bytes(size.digits).decode())
    if quantity < 0 or price is None:
        raise NumberError
    if not quantity:
        return None
    return Level(Decimal(bytes(price.digits).decode()), quantity, (price.digits, size.digits))


def _text(raw: msgspec.Raw) -> str:
    """Return a string's content or a number's digits; empty if the field is absent or null."""
    text = bytes(raw)
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str)
    return "" if text == b"null" else text.decode()
