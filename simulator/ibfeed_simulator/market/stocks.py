"""Stocks. Any ticker of one to five letters is one, at a made-up price. Some have the conids that examples use."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from typing import Final

from ibfeed_simulator.market.catalogue import Product
from ibfeed_simulator.market.contracts import Contract

_BASE: Final = 500_000_000  # above all conids of futures; the ticker is added as a number to base 26
_LETTERS: Final = 26
_LONGEST: Final = 5
_CENTS: Final = range(1_000, 50_000)  # a made-up price


@dataclass(frozen=True)
class Stock(Contract):
    """A listing of a share. It is a contract without months that never expires, and its own product."""

    @property
    def symbol(self) -> str:
        return self.product.root

    @property
    def is_american(self) -> bool:
        return self.product.exchange in _AMERICAN


_AMERICAN: Final = frozenset({"NASDAQ", "NYSE", "ARCA"})

# Conid, ticker, name, exchange, price. Clients' documentation uses these. The conids are IB's.
_KNOWN: Final = (
    (265598, "AAPL", "APPLE INC", "NASDAQ", "189.40"),
    (38708077, "AAPL", "APPLE INC", "MEXI", "189.40"),
    (272093, "MSFT", "MICROSOFT CORP", "NASDAQ", "374.60"),
    (208813720, "GOOG", "ALPHABET INC-CL C", "NASDAQ", "141.80"),
    (8314, "IBM", "INTL BUSINESS MACHINES CORP", "NYSE", "163.70"),
    (756733, "SPY", "SPDR S&P 500 ETF TRUST", "ARCA", "475.30"),
)


def _never(_: int, __: int) -> date:
    return date.max


def _stock(conid: int, ticker: str, name: str, exchange: str, price: str) -> Stock:
    product = Product(ticker, name, exchange, "", "0.01", price, "", _never, listed=0)
    return Stock(conid, product, "", date.max)


_LISTED: Final = tuple(_stock(*row) for row in _KNOWN)
_BY_CONID: Final = {stock.conid: stock for stock in _LISTED}


def listings(ticker: str) -> tuple[Stock, ...]:
    """Return the listings of a share. A text that is no ticker has none."""
    known = tuple(stock for stock in _LISTED if stock.product.root == ticker)
    if known:
        return known
    if not (1 <= len(ticker) <= _LONGEST and all("A" <= letter <= "Z" for letter in ticker)):
        return ()
    return (_made_up(ticker),)


def on_exchange(exchange: str) -> tuple[Stock, ...]:
    """Return the well-known shares of an exchange. All others would be millions."""
    return tuple(stock for stock in _LISTED if stock.product.exchange == exchange)


def find(conid: int) -> Stock | None:
    """Return the listing of a conid. None: it is not a stock's."""
    return _BY_CONID.get(conid) or _from_number(conid - _BASE)


def _made_up(ticker: str) -> Stock:
    number = 0
    for letter in ticker:
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    cents = _CENTS[zlib.crc32(ticker.encode()) % len(_CENTS)]
    return _stock(_BASE + number, ticker, f"{ticker} INC", "NASDAQ", f"{cents // 100}.{cents % 100:02d}")


def _from_number(number: int) -> Stock | None:
    letters = ""
    while number > 0:
        number, letter = divmod(number - 1, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    found = listings(letters)
    return found[0] if found and found[0].conid >= _BASE else None
