"""A replay of recorded trades and a ten-level book, in a loop, with event times moved to now.

The shipped hour is CME ESH4 of 25 December 2023 (see ``data/README.md``); the venue plays it as its nearest ES.
Between two rounds there is a session break: a few silent seconds, then a day that has not traded yet.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.forms import PriceForm, size
from ibfeed_simulator.market.quotes import Quotes
from ibfeed_simulator.market.source import Changes, Ladder, Level

DATA: Final = Path(__file__).parent.parent / "data"
TRADES: Final = "esh4_2023-12-25_trades.csv.gz"
BOOK: Final = "esh4_2023-12-25_book.csv.gz"
LEVELS: Final = 10
_BREAK_SECONDS: Final = 5.0
_OPEN_INTEREST: Final = 2_214_873  # of the right order; the recording has none


@dataclass(frozen=True)
class Trade:
    price: int  # ticks
    size: int


@dataclass(frozen=True)
class BookChange:
    is_bid: bool
    level: int
    price: int | None  # ticks; None: the level is gone
    size: int


@dataclass(frozen=True)
class Moment:
    """One recorded event, ``at`` seconds after the start of the recording."""

    at: float
    event: Trade | BookChange


@dataclass(frozen=True)
class Recording:
    moments: tuple[Moment, ...]
    seconds: float


def load(directory: Path, tick: str) -> Recording:
    """Read trades and book. Raises OSError or ValueError if the files are missing or broken."""
    form = PriceForm.of(tick)
    raw: list[tuple[int, Trade | BookChange]] = []
    for row in _rows(directory / BOOK):
        price = form.ticks(row["price"]) if row["price"] else None
        raw.append(
            (int(row["ts_event_ns"]), BookChange(row["side"] == "bid", int(row["level"]), price, int(row["size"] or 0)))
        )
    for row in _rows(directory / TRADES):
        raw.append((int(row["ts_event_ns"]), Trade(form.ticks(row["price"]), int(row["size"]))))
    raw.sort(key=lambda item: item[0])
    if not raw:
        raise ValueError(f"no events in {directory}")
    start = raw[0][0]
    moments = tuple(Moment((at - start) / 1e9, event) for at, event in raw)
    return Recording(moments, moments[-1].at)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="ascii", newline="") as file:
        yield from csv.DictReader(file)


class Replay:
    """A recording as a source of quotes, ``speed`` times as fast as it was.

    Changes come at most every ``interval`` seconds, and each field has its latest value.
    """

    def __init__(
        self, contract: Contract, recording: Recording, now: float, interval: float, speed: float = 1.0
    ) -> None:
        self._recording = recording
        self._speed = speed
        self._interval = interval
        self._start = now
        self._next = 0
        self._bids: list[tuple[int, int] | None] = [None] * LEVELS
        self._asks: list[tuple[int, int] | None] = [None] * LEVELS
        first = next(moment.event for moment in recording.moments if isinstance(moment.event, Trade))
        self._quotes = Quotes(
            contract=contract,
            form=PriceForm.of(contract.product.tick),
            bid=first.price,
            ask=first.price + 1,
            bid_size=0,
            ask_size=0,
            last=first.price,
            last_size=first.size,
            volume=0,
            open_interest=_OPEN_INTEREST,
            open=first.price,
            high=first.price,
            low=first.price,
            prior_close=first.price,
            traded=False,
        )
        self._due = now
        self._apply(now)
        self._quotes.full()

    def full(self) -> Changes:
        return self._quotes.full()

    def due(self) -> float:
        return self._due

    def advance(self, now: float) -> Changes:
        if now < self._due:
            return {}
        self._apply(now)
        self._due = max(self._due + self._interval, now + self._interval / 2)
        return self._quotes.changes()

    def new_day(self) -> None:
        self._quotes.new_day()

    def last(self) -> str:
        return self._quotes.form.text(self._quotes.last)

    def ladder(self) -> Ladder:
        text, last = self._quotes.form.text, self._quotes.last
        rows: list[Level] = []
        for level in reversed(self._asks):
            rows.append(Level("") if level is None else self._row(level[0], text(level[0]), last, ask=size(level[1])))
        for level in self._bids:
            rows.append(Level("") if level is None else self._row(level[0], text(level[0]), last, bid=size(level[1])))
        return tuple(rows)

    def _row(self, price: int, text: str, last: int, bid: str | None = None, ask: str | None = None) -> Level:
        if price == last and self._quotes.traded:
            return Level(f"{size(self._quotes.last_size)} @ {text}", bid, ask, focus=True)
        return Level(text, bid, ask)

    def _apply(self, now: float) -> None:
        position = (now - self._start) * self._speed
        moments = self._recording.moments
        while True:
            while self._next < len(moments) and moments[self._next].at <= position:
                self._take(moments[self._next].event)
                self._next += 1
            length = self._recording.seconds + _BREAK_SECONDS * self._speed
            if position < length:
                break
            self._start += length / self._speed
            position -= length
            self._next = 0
            self._quotes.new_day()

    def _take(self, event: Trade | BookChange) -> None:
        quotes = self._quotes
        if isinstance(event, Trade):
            quotes.trade(event.price, event.size)
            return
        side = self._bids if event.is_bid else self._asks
        side[event.level] = None if event.price is None else (event.price, event.size)
        if event.level == 0 and event.price is not None:
            if event.is_bid:
                quotes.bid, quotes.bid_size = event.price, event.size
            else:
                quotes.ask, quotes.ask_size = event.price, event.size
