"""A recording becomes data that the simulator's venue plays: the same prices, sizes, volume and levels."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import ibfeed
from ibfeed.errors import RecordingError
from ibfeed.recording.events import events_of
from ibfeed.recording.files import Folder
from ibfeed.recording.records import Batch
from ibfeed.recording.replayer import Selection
from ibfeed.recording.venue import write
from ibfeed.stream import EventStream, Topics, Wanted
from ibfeed_simulator.market import replay
from ibfeed_simulator.market.replay import BookChange, Trade
from support.reader_records import FakeMessage, change, tick
from support.recordings import HEADERS, ticks

PRICE_INCREMENT = "0.01"


def played(folder: Path, *messages: FakeMessage) -> list[Trade | BookChange]:
    """What the venue makes of these records."""
    write(EventStream(Topics(), Wanted(), skip_unreadable=False).events(messages), folder)
    return [moment.event for moment in replay.load(folder, PRICE_INCREMENT).moments]


def test_trades_have_the_recordings_prices_and_volume(tmp_path: Path) -> None:
    found = ticks(300)
    folder = Folder(tmp_path / "recording")
    times, values = [time for time, _ in found], [value for _, value in found]
    folder.append(Batch("ticklast", 0, b"495512572", list(range(300)), times, [HEADERS] * 300, [*values]))
    folder.close()
    count = write(events_of(folder.path, Selection(), Topics()), tmp_path / "data")
    trades = [moment.event for moment in replay.load(tmp_path / "data", PRICE_INCREMENT).moments]
    sizes = [event.size for event in trades if isinstance(event, Trade)]
    prices = [event.price for event in trades if isinstance(event, Trade)]
    told = [json.loads(value) for value in values]
    traded = [told[0], *[fields for fields in told[1:] if "volume" in fields["flags"]]]
    assert len(sizes) == count >= len(traded) > 100
    assert sum(sizes) == told[-1]["volume"] - told[0]["volume"] + told[0]["size"]
    assert prices[-1] == round(traded[-1]["price"] * 100)


def test_volume_between_two_ticks_is_a_trade_before_the_last_one(tmp_path: Path) -> None:
    later = tick(2)
    assert later.of_value is not None
    value = later.of_value.replace(b'"volume":87250', b'"volume":87260')
    events = played(tmp_path, tick(1), replace(later, of_value=value))
    assert [event.size for event in events if isinstance(event, Trade)] == [1, 8, 2]


def test_without_a_book_the_quote_is_its_first_level(tmp_path: Path) -> None:
    events = played(tmp_path, tick(1), tick(2))
    assert [event for event in events if isinstance(event, BookChange)] == [
        BookChange(is_bid=True, level=0, price=7189, size=12),
        BookChange(is_bid=False, level=0, price=7191, size=9),
    ]


def test_order_book_fills_its_levels_and_empties_them(tmp_path: Path) -> None:
    book = [
        change("snapshot", 1, bids=[("71.87", "12"), ("71.86", "5")], asks=[("71.93", "9")]),
        change("delta", 2, bids=[("71.86", "0")]),
    ]
    events = played(tmp_path, *book, tick(3))
    assert [event for event in events if isinstance(event, BookChange)] == [
        BookChange(is_bid=True, level=0, price=7187, size=12),
        BookChange(is_bid=True, level=1, price=7186, size=5),
        BookChange(is_bid=False, level=0, price=7193, size=9),
        BookChange(is_bid=True, level=1, price=None, size=0),
    ]


def test_previous_close_is_no_trade(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no trades"):
        played(tmp_path, tick(1, flags=["price", "previous_close"]))


def test_recording_without_trades_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no trades"):
        played(tmp_path, change("snapshot", 1, bids=[("71.89", "12")]))
    with pytest.raises(RecordingError, match="holds no recording"):
        list(events_of(tmp_path, Selection(), ibfeed.Topics()))
