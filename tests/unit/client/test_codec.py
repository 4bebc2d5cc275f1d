"""Each event comes back as it was: its type, its digits, and the record that it was read from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.codec import decode, encode
from support.queue_events import feed_events, trade, venue_events


@pytest.mark.parametrize("event", [*feed_events(), *venue_events()], ids=lambda event: type(event).__name__)
def test_event_comes_back_as_it_was(event: ibfeed.Event) -> None:
    back = decode(encode(event))
    assert type(back) is type(event)
    assert back == event
    assert repr(back) == repr(event)  # equal decimals may have other digits


def test_tick_keeps_the_digits_of_its_record() -> None:
    tick = decode(encode(feed_events()[1]))
    assert isinstance(tick, ibfeed.Tick)
    assert str(tick.exact("price")) == "71.90"
    assert tick.contract is not None


def test_tick_without_a_record_comes_back_without_one() -> None:
    tick: Any = feed_events()[1]
    bare = msgspec.structs.replace(tick, record=b"")
    back = decode(encode(bare))
    assert back == bare
    assert isinstance(back, ibfeed.Tick)
    with pytest.raises(ValueError, match="not read from a record"):
        back.exact("price")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_no_digit_of_a_decimal_is_lost(price: Decimal) -> None:
    event = msgspec.structs.replace(trade(1), price=price)
    back = decode(encode(event))
    assert isinstance(back, ibfeed.Trade)
    assert back.price.as_tuple() == price.as_tuple()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_bit_of_a_float_is_lost(price: float) -> None:
    tick: Any = feed_events()[1]
    bare = msgspec.structs.replace(tick, record=b"", price=price)
    back = decode(encode(bare))
    assert isinstance(back, ibfeed.Tick)
    assert back.price.hex() == price.hex()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "is the queue ibfeed's own"),
        (b'{"type":"order","event":{}}', "type order, which is not known: upgrade ibfeed"),
        (b'{"type":"trade","event":{"symbol":"X"}}', "missing required field"),
        (b'{"type":"tick","event":{}}', "missing required field"),
    ],
)
def test_bytes_that_are_no_event_are_refused(value: bytes, why: str) -> None:
    with pytest.raises(ibfeed.RecordError, match=why):
        decode(value)
