"""Ticks, books and gaps as lines, and the feed that a command means."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

from ibfeed.cli.data import choose_feed
from ibfeed.cli.data_lines import GapTotal, book_json, book_line, gap_cells, gap_totals, span_of, tick_json, tick_line
from ibfeed.errors import MissingObjectError
from ibfeed.events import Book, ExactLevel, Gap, Level, Tick, attach
from ibfeed.records import decode_tick
from support.reader_records import AT_MS, tick


def a_tick() -> Tick:
    record = tick(3, price="71.900").value()
    found: Tick = decode_tick(record or b"")
    attach(found, "record", record)
    return found


def a_book(*, known: bool = True) -> Book:
    bids = (ExactLevel(Decimal("71.90"), Decimal(4)), ExactLevel(Decimal("71.89"), Decimal(2)))
    asks = (ExactLevel(Decimal("71.91"), Decimal(7)),)
    plain_bids, plain_asks = (tuple(Level(float(one.price), float(one.size)) for one in side) for side in (bids, asks))
    reason = "snapshot" if known else "lost"
    return Book("CLZ6", 1, AT_MS, 9, known, reason, plain_bids, plain_asks, bids, asks, ())


def gap(symbol: str | None, begin: int | None, end: int | None, worker: str = "energy-0") -> Gap:
    return Gap(1, symbol, begin, end, "worker energy-1 was lost", AT_MS, "energy", worker)


def test_tick_has_the_digits_of_its_record() -> None:
    found = tick_line(a_tick())
    assert "71.900 x 3" in found
    assert "71.89 x 12 / 71.91 x 9" in found
    assert json.loads(tick_json(a_tick()))["seq"] == a_tick().seq


def test_book_is_a_line_best_levels_in_the_middle() -> None:
    assert book_line(a_book()).endswith("2@71.89 4@71.90 | 71.91@7")
    assert book_line(a_book(known=False)).endswith("not known: lost")
    assert '"bids":[[71.90,4],[71.89,2]]' in book_json(a_book())


def test_gaps_that_overlap_count_once() -> None:
    found = gap_totals([gap("CLZ6", 1000, 4000), gap("CLZ6", 2000, 5000), gap("CLZ6", None, 9000), gap("NGZ6", 0, 500)])
    assert found == [GapTotal("CLZ6", 3, 4.0, 1), GapTotal("NGZ6", 1, 0.5, 0)]


def test_gap_without_a_contract_is_of_all() -> None:
    cells = gap_cells(gap(None, None, AT_MS))
    assert cells[:2] == ("all", "not known")
    assert cells[3] == ""


def test_span_of_time() -> None:
    assert span_of("90m") == dt.timedelta(minutes=90)
    with pytest.raises(ValueError, match="write it as 30m, 1h or 2d"):
        span_of("yesterday")


def feeds(**symbols: list[str]) -> list[dict[str, object]]:
    return [
        {"metadata": {"name": name}, "status": {"contracts": [{"symbol": one} for one in has]}}
        for name, has in symbols.items()
    ]


def test_feed_is_meant_by_its_contracts() -> None:
    there = feeds(energy=["CLZ6"], equity=["ESZ6"])
    assert choose_feed(there, "", ["ESZ6"], "desk")["metadata"]["name"] == "equity"
    with pytest.raises(MissingObjectError, match="several IbFeeds may be meant: energy, equity"):
        choose_feed(there, "", [], "desk")
    with pytest.raises(MissingObjectError, match="no contract of GCZ6 is in energy; it has: CLZ6"):
        choose_feed(there, "energy", ["GCZ6"], "desk")
    with pytest.raises(MissingObjectError, match="namespace desk has no IbFeed metals; it has: energy, equity"):
        choose_feed(there, "metals", [], "desk")
