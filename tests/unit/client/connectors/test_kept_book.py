"""A kept book says what changed, so that whoever follows its changes has the same book."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.connectors.kept_book import KeptBook, Levels

DEPTH = 3
LEVELS = st.dictionaries(st.integers(1, 8).map(Decimal), st.integers(0, 2).map(Decimal), max_size=4)
MESSAGES = st.lists(st.tuples(LEVELS, LEVELS, st.integers(0, 40_000)), min_size=1, max_size=20)


@given(MESSAGES)
def test_follower_of_the_changes_has_the_same_book(messages: list[tuple[Levels, Levels, int]]) -> None:
    kept, books, now = KeptBook("BTC/USD", "kraken", DEPTH, 0), ibfeed.OrderBooks(), 0
    for bids, asks, pause in messages:
        now += pause
        kept.merge(bids.items(), asks.items())
        book = books.update(kept.confirm(now))
        assert book is not None
        assert book.known
        best_bids, best_asks = kept.best(DEPTH)
        assert [tuple(level) for level in book.exact_bids] == best_bids
        assert [tuple(level) for level in book.exact_asks] == best_asks
        assert len(book.bids) <= DEPTH


def test_whole_book_comes_at_first_each_minute_and_after_a_loss() -> None:
    kept = KeptBook("BTC/USD", "kraken", DEPTH, 0)
    kinds = []
    for now in (0, 59_999, 60_000, 60_001):
        kept.merge([(Decimal(1), Decimal(1))], [])
        kinds.append(kept.confirm(now).kind)
    kinds.append(kept.clear(60_002, "lost").kind)
    kept.merge([], [])
    kinds.append(kept.confirm(60_003).kind)
    assert kinds == ["snapshot", "delta", "snapshot", "delta", "clear", "snapshot"]


def test_reason_of_a_loss_is_kept_until_the_next_book() -> None:
    kept = KeptBook("BTC/USD", "kraken", DEPTH, 0)
    kept.merge([], [])
    kept.confirm(5)
    kept.clear(6, "lost")
    assert (kept.known, kept.lost_because, kept.event_time) == (False, "lost", 5)
    kept.confirm(7)
    assert (kept.known, kept.lost_because) == (True, "")
