"""Ticks, books and gaps as lines and tables. No I/O."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ibfeed.events import Book, Gap, Tick

if TYPE_CHECKING:
    from rich.table import Table

LEVELS: Final = 10  # of each side, as IB's ladder has them
_BRIEF: Final = 3  # levels of each side in a line
_SPAN: Final = re.compile(r"(\d+)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_json: Final = msgspec.json.Encoder(decimal_format="number")


def span_of(text: str) -> dt.timedelta:
    """Return a span of time such as ``90s``, ``30m``, ``1h`` or ``2d``. Raises ValueError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no span of time: write it as 30m, 1h or 2d")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


def tick_line(tick: Tick) -> str:
    """Return a tick as a line, with IB's own digits."""
    last = f"{_text(tick.exact('price')):>12} x {_text(tick.exact('size')):<6}"
    quote = f"{_side(tick, 'bid')} / {_side(tick, 'ask')}"
    return f"{_clock(tick.time)}  {tick.symbol:<8} {last} {quote:<32} {' '.join(tick.flags)}"


def tick_json(tick: Tick) -> str:
    """Return a tick as the record that it came in."""
    return tick.record.decode()


def book_line(book: Book) -> str:
    """Return the best levels of a book as a line."""
    head = f"{_clock(book.time)}  {book.symbol:<8}"
    if not book.known:
        return f"{head} not known: {book.reason}"
    bids = " ".join(f"{_text(level.size)}@{_text(level.price)}" for level in reversed(book.exact_bids[:_BRIEF]))
    asks = " ".join(f"{_text(level.price)}@{_text(level.size)}" for level in book.exact_asks[:_BRIEF])
    return f"{head} {bids} | {asks} {' '.join(book.flags)}".rstrip()


def book_json(book: Book) -> str:
    """Return a whole book as a line of JSON, with IB's own digits."""
    whole: dict[str, Any] = {
        "symbol": book.symbol,
        "conid": book.conid,
        "event_time": book.event_time,
        "seq": book.seq,
        "known": book.known,
        "reason": book.reason,
        "bids": book.exact_bids,
        "asks": book.exact_asks,
        "flags": book.flags,
    }
    return _json.encode(whole).decode()


def ladder(book: Book) -> Table:
    """Return a book as a ladder for a terminal: asks above bids."""
    from rich.table import Table

    note = " ".join(book.flags) if book.known else f"not known: {book.reason}"
    title = f"{book.symbol}  {_clock(book.time)} UTC  {note}"
    table = Table("bid size", "price", "ask size", title=title, title_justify="left", box=None, min_width=40)
    for column in table.columns:
        column.justify = "right"
    for level in reversed(book.exact_asks[:LEVELS]):
        table.add_row("", f"[red]{_text(level.price)}[/]", _text(level.size))
    for level in book.exact_bids[:LEVELS]:
        table.add_row(_text(level.size), f"[green]{_text(level.price)}[/]", "")
    return table


@dataclass(frozen=True, slots=True)
class GapTotal:
    """The gaps of one contract. ``seconds`` is of those whose ends are known; ``open_ended`` counts the others."""

    symbol: str
    gaps: int
    seconds: float
    open_ended: int


def gap_totals(gaps: Iterable[Gap]) -> list[GapTotal]:
    """Return the gaps of each contract, those with the longest time missing first.

    Gaps of one contract that overlap, since two workers noticed, count once.
    """
    by_symbol: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_symbol.setdefault(gap.symbol or "all", []).append(gap)
    totals = []
    for symbol, own in by_symbol.items():
        spans = sorted((gap.from_ms, gap.to_ms) for gap in own if gap.from_ms is not None and gap.to_ms is not None)
        missing, reached = 0, 0
        for begin, end in spans:
            missing += max(0, end - max(begin, reached))
            reached = max(reached, end)
        totals.append(GapTotal(symbol, len(own), missing / 1000, len(own) - len(spans)))
    return sorted(totals, key=lambda total: (-total.seconds, total.symbol))


def gap_cells(gap: Gap) -> tuple[str, ...]:
    """Return a gap's row: contract, from, to, seconds, worker, cause."""
    length = "" if gap.from_ms is None or gap.to_ms is None else f"{(gap.to_ms - gap.from_ms) / 1000:.1f}"
    return gap.symbol or "all", _moment(gap.start), _moment(gap.end), length, gap.worker, gap.reason


def gap_json(gap: Gap) -> str:
    """Return a gap as a line of JSON."""
    return msgspec.json.encode(gap).decode()


def _side(tick: Tick, side: str) -> str:
    price, size = tick.exact(side), tick.exact(f"{side}_size")
    return f"{_text(price)} x {_text(size)}"


def _text(number: Decimal | None) -> str:
    return "-" if number is None else f"{number:f}"


def _clock(at: dt.datetime) -> str:
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}"


def _moment(at: dt.datetime | None) -> str:
    return "not known" if at is None else f"{at:%Y-%m-%d} {_clock(at)}"
