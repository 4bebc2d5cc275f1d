"""An event handler: it prints trades, the best of each book, and what is missing. ``kraken.toml`` names it."""

from __future__ import annotations

import ibfeed


class Desk(ibfeed.EventHandler):
    """Prints what it gets.

    Args:
        levels: of each side of a book.
    """

    def __init__(self, levels: int) -> None:
        self._levels = levels

    async def on_trade(self, trade: ibfeed.Trade) -> None:
        print(trade.time, trade.symbol, trade.side, trade.size, "at", trade.price, flush=True)

    async def on_book(self, book: ibfeed.Book) -> None:
        if book.known:
            print(book.time, book.symbol, book.exact_bids[: self._levels], book.exact_asks[: self._levels], flush=True)

    async def on_gap(self, gap: ibfeed.Gap) -> None:
        print("missing:", gap.symbol, gap.start, gap.end, gap.reason, flush=True)

    async def on_status(self, status: ibfeed.Status) -> None:
        print(status.time, status.feed, status.kind, status.detail, flush=True)
