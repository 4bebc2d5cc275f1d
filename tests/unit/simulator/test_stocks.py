"""Stocks: a conid for each ticker, and a ticker for each conid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ibfeed_simulator.market import contracts, stocks

TICKERS = some.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=5)


@given(TICKERS)
def test_a_conid_leads_back_to_its_listing(ticker: str) -> None:
    for stock in stocks.listings(ticker):
        assert stocks.find(stock.conid) == stock
        assert contracts.find(stock.conid) is None


@given(some.integers(0, 2_000_000_000))
def test_a_conid_belongs_to_one_kind_at_most(conid: int) -> None:
    found = stocks.find(conid)
    assert found is None or (found.conid == conid and contracts.find(conid) is None)


@pytest.mark.parametrize("text", ["", "ABCDEF", "brk", "A1", "ÄB"])
def test_what_is_no_ticker_is_listed_nowhere(text: str) -> None:
    assert stocks.listings(text) == ()


def test_well_known_shares_have_ib_s_conids() -> None:
    assert [(stock.conid, stock.is_american) for stock in stocks.listings("AAPL")] == [
        (265598, True),
        (38708077, False),
    ]
    assert {stock.symbol for stock in stocks.on_exchange("NASDAQ")} == {"AAPL", "MSFT", "GOOG"}
