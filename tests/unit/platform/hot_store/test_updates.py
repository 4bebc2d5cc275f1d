from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed.records import UNDECODABLE, decode_contract
from ibfeed_platform.categories.states import WORDS
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.updates import (
    BookChange,
    Latest,
    Origin,
    Update,
    book_update,
    newest,
    status_update,
    tick_update,
)
from support.reader_records import EPOCH, change, contract, feed_event, tick

KEYS = Keys("energy")
ORIGIN = Origin(EPOCH, "energy-0", 2, 17)


def test_a_tick_becomes_a_hash_of_texts() -> None:
    update = tick_update(tick(3, price="71.90").value() or b"", ORIGIN, None, KEYS)
    assert update.key == "ibfeed:energy:tick:CLZ6"
    assert (update.epoch, update.seq) == (EPOCH, int(update.fields["seq"]))
    assert update.fields["price"] == "71.90"
    assert update.fields["partition"] == "2"
    assert update.fields["offset"] == "17"
    assert update.event_ms == int(update.fields["event_time"])
    assert "open_interest" not in update.fields
    assert "currency" not in update.fields


def test_the_contract_tells_the_units() -> None:
    known = decode_contract(contract().value() or b"")
    fields = tick_update(tick().value() or b"", ORIGIN, known, KEYS).fields
    assert {name: fields[name] for name in ("root", "currency", "multiplier", "min_price_increment")} == {
        "root": "CL",
        "currency": "USD",
        "multiplier": "1000",
        "min_price_increment": "0.01",
    }
    assert fields["last_trading_day"] == "2026-11-20"
    assert "first_notice_day" not in fields


@given(st.sets(st.sampled_from(["delayed", "frozen", "not_subscribed", "unverified", "previous_close", "halted"])))
def test_states_are_those_of_the_category(flags: set[str]) -> None:
    fields = tick_update(tick(1, flags=sorted(flags)).value() or b"", ORIGIN, None, KEYS).fields
    values = {"flags": sorted(flags), "market_data_type": "RpB", "price": 1, "bid": 1}
    assert set(fields["price_state"].split("+")) == WORDS["ticklast"]("price", values)
    assert set(fields["state"].split("+")) == WORDS["ticklast"]("bid", values)


def test_a_change_of_a_book_keeps_its_digits() -> None:
    message = change("delta", 2, bids=[("71.90", "0")], asks=[("71.95", "3"), ("72.0", "1")], flags=["crossed"])
    update = book_update(message.value() or b"", ORIGIN, None, KEYS)
    assert update.kind == "delta"
    assert json.loads(update.bids) == [["71.90", "0"]]
    assert json.loads(update.asks) == [["71.95", "3"], ["72.0", "1"]]
    assert update.fields["flags"] == "crossed"
    assert update.key != update.memory_key


def test_a_status_is_ordered_by_the_workers_clock() -> None:
    update = status_update(feed_event("alive", at_ms=77).value() or b"", KEYS)
    assert update.key == "ibfeed:energy:status:energy-0"
    assert (update.epoch, update.seq, update.fields["seq"]) == (0, 77, "77")


@pytest.mark.parametrize("value", [b"", b"{", b"{}", b"[]", b"null"])
def test_a_broken_record_raises_what_is_documented(value: bytes) -> None:
    with pytest.raises(UNDECODABLE):
        tick_update(value, ORIGIN, None, KEYS)
    with pytest.raises(UNDECODABLE):
        book_update(value, ORIGIN, None, KEYS)


# What is left out of a batch.


@dataclass
class Rule:
    """The documented rule for readers, written down once more: a hash is replaced by a newer one only."""

    held: dict[str, tuple[int, int]]

    def take(self, updates: Sequence[Update]) -> None:
        for update in updates:
            if (update.epoch, update.seq) > self.held.get(update.key, (-1, -1)):
                self.held[update.key] = update.epoch, update.seq


def latest(key: str, epoch: int, seq: int) -> Latest:
    return Latest(key, epoch, seq, 0, {})


updates_of_keys = st.lists(st.builds(latest, st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 5)))


@given(updates_of_keys, st.randoms(use_true_random=False))
def test_any_order_and_repetition_ends_alike(updates: list[Latest], dice: object) -> None:
    shuffled = [*updates, *updates]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    plain, thinned = Rule({}), Rule({})
    plain.take(updates)
    while shuffled:
        part, shuffled = shuffled[:4], shuffled[4:]
        thinned.take(newest(part))
    assert thinned.held == plain.held


@given(updates_of_keys)
def test_one_update_of_each_key_is_left(updates: list[Latest]) -> None:
    assert len(newest(updates)) == len({update.key for update in updates})


def test_changes_of_books_are_all_kept_in_order() -> None:
    changes = [BookChange("book", "memory", 1, seq, 0, "delta", "[]", "[]", {}) for seq in (1, 2, 3)]
    assert [
        update for update in newest([changes[0], latest("a", 1, 1), *changes[1:]]) if update.key == "book"
    ] == changes
