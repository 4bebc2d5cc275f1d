"""The words of a field's state follow from the record's flags, kinds and IB's letters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from ibfeed_api.records import TOPIC_EVENTS, Tick
from ibfeed_platform.categories.codec import decode
from ibfeed_platform.categories.rows import to_rows
from ibfeed_platform.categories.states import WORDS
from support.categories import BY_TOPIC, FLAGS, TICKS, UNHURRIED, book_rows, tick_row


def test_each_topic_of_a_category_has_its_words() -> None:
    assert set(WORDS) == set(BY_TOPIC)


@pytest.mark.parametrize(
    ("kind", "flags", "price_state"),
    [
        ("RpB", [], "live"),
        ("RpB", ["price"], "live+changed"),
        ("RpB", ["size", "price", "snapshot"], "live+snapshot+changed"),
        ("RpB", ["price", "previous_close"], "live+previous_close+changed"),
        ("RpB", ["halted"], "live+halted"),
        ("DpB", ["delayed"], "delayed"),
        ("DpB", ["delayed", "previous_close"], "delayed+previous_close"),
        ("ZpB", ["frozen", "price"], "frozen+changed"),
        ("YpB", ["delayed", "frozen"], "delayed+frozen"),
        ("N", ["not_subscribed"], "not_subscribed"),
        ("O", ["unverified"], "unverified"),
        ("DpB", [], "unverified"),
        ("RpB", ["delayed"], "delayed"),
        ("RpB", ["added_later"], "live"),
    ],
)
def test_state_of_a_price(kind: str, flags: list[str], price_state: str) -> None:
    assert tick_row(market_data_type=kind, flags=flags)["price_state"] == price_state


@pytest.mark.parametrize(
    ("column", "state"),
    [
        ("size_state", "live"),
        ("bid_state", "live"),
        ("ask_state", "missing+changed"),
        ("ask_size_state", "missing"),
        ("market_data_type_state", "present+changed"),
        ("symbol_state", "present"),
        ("flags_state", "present"),
    ],
)
def test_states_beside_the_price(column: str, state: str) -> None:
    row = tick_row(flags=["ask", "market_data_type", "previous_close", "halted"])
    assert row[column] == state


@UNHURRIED
@given(TICKS, FLAGS)
def test_tick_is_live_only_where_ib_says_so(tick: Tick, flags: list[str]) -> None:
    row = tick_row(market_data_type=tick.market_data_type, flags=flags)
    not_live = {"delayed", "frozen", "not_subscribed", "unverified"}
    live = tick.market_data_type.startswith("R") and not not_live & set(flags)
    words = row["price_state"].split("+")
    assert ("live" in words) is live
    assert bool(not_live & set(words)) is not live


@pytest.mark.parametrize(
    ("changes", "states"),
    [
        ({"kind": "snapshot"}, [("rank", "present", "present")] * 3),
        (
            {},
            [("place", "present", "present"), ("place", "present", "present+removed"), ("place", "present", "present")],
        ),
        (
            {"asks": [], "bids": [[1, 1]], "flags": ["crossed", "incomplete"]},
            [("place", *["present+crossed+incomplete"] * 2)],
        ),
        ({"kind": "clear", "bids": [], "asks": []}, [("missing", "missing+cleared", "missing+cleared")]),
        ({"kind": "clear", "bids": [], "asks": [], "flags": ["stale"]}, [("missing", *["missing+cleared+stale"] * 2)]),
        ({"kind": "snapshot", "bids": [], "asks": []}, [("missing", "missing", "missing")]),
    ],
)
def test_states_of_levels(changes: dict[str, Any], states: list[tuple[str, str, str]]) -> None:
    rows = book_rows(**changes)
    assert [(row["level_state"], row["price_state"], row["size_state"]) for row in rows] == states


@pytest.mark.parametrize(
    ("record", "gap_from", "gap_to"),
    [
        (b'{"kind": "gap", "feed": "f", "worker": "w", "at_ms": 1, "to_ms": 5}', "missing+unknown", "present"),
        (b'{"kind": "alive", "feed": "f", "worker": "w", "at_ms": 1}', "missing", "missing"),
    ],
)
def test_states_of_the_ends_of_a_gap(record: bytes, gap_from: str, gap_to: str) -> None:
    (row,) = to_rows(BY_TOPIC[TOPIC_EVENTS], TOPIC_EVENTS, decode(record), None)
    assert (row["gap_from_state"], row["gap_to_state"]) == (gap_from, gap_to)
