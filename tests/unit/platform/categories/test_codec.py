"""JSON goes in and out with every digit."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from ibfeed_platform.categories.codec import decode, encode


@pytest.mark.parametrize(
    "text", [b'{"price":71.90}', b'{"step":0.0000005}', b'{"size":12345678901234567890}', b'{"bids":[[-1.50,2]]}']
)
def test_digits_come_through(text: bytes) -> None:
    assert encode(decode(text)) == text


def test_decimal_is_no_float() -> None:
    assert decode(b'{"price":71.90}')["price"].as_tuple() == Decimal("71.90").as_tuple()


def test_spans_of_a_row_are_written() -> None:
    assert encode({"hours": [{"start": 1, "end": 2}]}) == b'{"hours":[{"start":1,"end":2}]}'


def test_value_that_is_no_object_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b"[1]")
