"""What becomes of each record of a feed's topics."""

from __future__ import annotations

from dataclasses import replace

import pytest

import ibfeed
from ibfeed.records import decode_contract
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.updates import BookChange, Latest
from ibfeed_platform.sinks.values import Values
from ibfeed_platform.spark.updates import Decoder
from support.reader_records import CONID, EPOCH, FakeMessage, change, contract, feed_event, tick, tombstone

CONTRACT = decode_contract(contract().value() or b"")
DECODER = Decoder(ibfeed.Topics(), Keys("energy"), {CONID: CONTRACT}, Values(None))


def test_tick_has_its_place_and_its_units() -> None:
    update = DECODER.update_of(replace(tick(3), of_offset=41))
    assert isinstance(update, Latest)
    assert (update.key, update.epoch) == ("ibfeed:energy:tick:CLZ6", EPOCH)
    assert {"price": "71.90", "offset": "41", "worker": "energy-0", "currency": "USD"}.items() <= update.fields.items()


def test_tick_of_an_unknown_contract_has_no_units() -> None:
    update = replace(DECODER, contracts={}).update_of(tick())
    assert update is not None
    assert "currency" not in update.fields


def test_book_and_event_have_updates() -> None:
    assert isinstance(DECODER.update_of(change("snapshot", bids=[("71.9", "2")])), BookChange)
    event = DECODER.update_of(feed_event("session", detail="ready"))
    assert event is not None
    assert event.fields["detail"] == "ready"


@pytest.mark.parametrize(
    "message", [tick(worker="metals-0"), contract(), tombstone(), feed_event("alive", feed="metals")]
)
def test_record_of_another_feed_or_of_the_table_has_none(message: FakeMessage) -> None:
    assert DECODER.update_of(message) is None


@pytest.mark.parametrize(
    "message",
    [
        tick(schema="ticklast/9"),
        replace(tick(), of_value=b"{}"),
        replace(tick(), of_value=None),
        replace(tick(), of_value=bytes(20)),
        replace(tick(), of_key=b"CLZ6"),
        replace(tick(), of_headers=[]),
        replace(tick(), of_headers=[header for header in tick().of_headers if header[0] != "epoch"]),
    ],
)
def test_record_that_cannot_be_read_is_told_with_its_place(message: FakeMessage) -> None:
    with pytest.raises(ibfeed.RecordError, match=r"ticklast\[0\]@0"):
        DECODER.update_of(message)
