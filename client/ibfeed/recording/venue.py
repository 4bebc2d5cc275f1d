"""A contract's recording as the data of the simulator's venue: trades and a book of ten levels.

The venue plays them as its nearest ES (``python -m ibfeed_simulator venue --data FOLDER --replay-speed N``).
``simulator/ibfeed_simulator/market/replay.py`` reads them.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Final

from ibfeed.errors import RecordingError
from ibfeed.events import Book, Event, Tick

TRADES: Final = "esh4_2023-12-25_trades.csv.gz"  # the names that the venue looks for
BOOK: Final = "esh4_2023-12-25_book.csv.gz"
TRADE_COLUMNS: Final = "ts_event_ns,price,size,aggressor"
BOOK_COLUMNS: Final = "ts_event_ns,side,level,price,size"
LEVELS: Final = 10

Row = str  # a line of one of the two files
_Level = tuple[Decimal, Decimal] | None


def rows_of(events: Iterable[Event]) -> Iterator[tuple[str, Row]]:
    """Yield the lines of both files, each with the name of its file.

    IB sums trades up over 500 ms: a tick tells the last one, and by how much the volume grew. So a tick becomes the
    last trade, and before it one of the rest. Order books fill all levels; without them the quote fills the first one.
    """
    volume: Decimal | None = None
    levels: dict[tuple[str, int], _Level] = {}
    booked = False
    for event in events:
        if isinstance(event, Tick):
            for size in _trades(event, volume):
                yield TRADES, f"{event.received_ns},{_digits(event.exact('price'))},{_digits(size)},none"
            volume = event.exact("volume")
            if not booked:
                yield from _changes(event.received_ns, levels, _quote(event))
        elif isinstance(event, Book) and event.known:
            booked = True
            yield from _changes(event.event_time * 1_000_000, levels, _whole(event))


def _trades(tick: Tick, volume: Decimal | None) -> list[Decimal]:
    """Return the sizes of the trades that a tick sums up; ``volume`` is that of the tick before."""
    size, now = tick.exact("size"), tick.exact("volume")
    if size is None or "previous_close" in tick.flags:
        return []
    if now is None or volume is None:
        begins = now is not None
        return [size] if begins or {"price", "size"} & {*tick.flags} else []
    grown = now - volume
    return [grown - size, size] if grown > size else [grown] if grown > 0 else []


def _quote(tick: Tick) -> dict[tuple[str, int], _Level]:
    sides = {"bid": (tick.exact("bid"), tick.exact("bid_size")), "ask": (tick.exact("ask"), tick.exact("ask_size"))}
    return {(side, 0): (price, size) for side, (price, size) in sides.items() if price is not None and size is not None}


def _whole(book: Book) -> dict[tuple[str, int], _Level]:
    found: dict[tuple[str, int], _Level] = {}
    for side, levels in (("bid", book.exact_bids), ("ask", book.exact_asks)):
        for number in range(LEVELS):
            found[side, number] = (levels[number].price, levels[number].size) if number < len(levels) else None
    return found


def _changes(
    at_ns: int, levels: dict[tuple[str, int], _Level], now: dict[tuple[str, int], _Level]
) -> Iterator[tuple[str, Row]]:
    for (side, number), level in now.items():
        if levels.get((side, number)) != level:
            levels[side, number] = level
            price, size = ("", "") if level is None else (_digits(level[0]), _digits(level[1]))
            yield BOOK, f"{at_ns},{side},{number},{price},{size}"


def _digits(number: Decimal | None) -> str:
    return "" if number is None else f"{number:f}"


def write(events: Iterable[Event], folder: Path) -> int:
    """Write both files; return how many trades there are. Raises RecordingError."""
    trades = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            columns = {TRADES: TRADE_COLUMNS, BOOK: BOOK_COLUMNS}
            files = {name: stack.enter_context(gzip.open(folder / name, "wt", encoding="ascii")) for name in columns}
            for name, file in files.items():
                print(columns[name], file=file)
            for name, row in rows_of(events):
                print(row, file=files[name])
                trades += name == TRADES
    except OSError as error:
        raise RecordingError(f"{folder} cannot be written: {error.strerror or error}") from None
    if not trades:
        raise RecordingError("the recording has no trades of that symbol and time, so the venue has nothing to play")
    return trades
