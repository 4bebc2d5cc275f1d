from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.feed import FeedSpec
from ibfeed_api.records import Tick, epoch_at, epoch_of, seq_of
from ibfeed_api.shard import Entry, EntryState, ShardSpec

LIMIT_OF_EXACT_JSON_INTEGERS = 2**53


EPOCHS = st.integers(1, 2**33 - 1)
COUNTS = st.integers(0, 2**20 - 1)


@given(EPOCHS, COUNTS, EPOCHS, COUNTS)
def test_seq_grows_with_epoch_then_count(epoch: int, count: int, later: int, other: int) -> None:
    assert (seq_of(epoch, count) < seq_of(later, other)) == ((epoch, count) < (later, other))
    assert seq_of(epoch, count) < LIMIT_OF_EXACT_JSON_INTEGERS
    assert epoch_of(seq_of(epoch, count)) == epoch


@given(st.integers(0, 2**33), st.integers(0, 10 * 365 * 86_400))
def test_seq_grows_over_epochs_of_any_length(begun: int, lasted_s: int) -> None:
    """Eight records a second are four times what IB sends of a contract at most."""
    last = seq_of(epoch_at(begun), 8 * (lasted_s + 1))
    assert last < seq_of(epoch_at(begun) + lasted_s + 1, 1)


def test_epochs_last_for_two_centuries() -> None:
    century = datetime(2126, 1, 1, tzinfo=UTC).timestamp()
    assert epoch_at(century) == int(century)
    for clock in (-5.0, 0.0, 2.0**33, 2.0**60):  # as a clock may be that was never set
        assert epoch_at(clock) >= 0
        assert seq_of(epoch_at(clock) + 10_000_000, 2**20) < LIMIT_OF_EXACT_JSON_INTEGERS


@pytest.mark.parametrize("assignments", [1, 1_000, 400_000])
def test_what_counted_assignments_is_below(assignments: int) -> None:
    """Until 2026 an epoch was the number of the assignment, and its records' numbers were 2**32 apart."""
    released = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
    before = (assignments << 32) + 2**32 - 1
    assert before < seq_of(epoch_at(released), 0)
    assert assignments < epoch_at(released)


def test_a_tick_carries_ibs_digits_unchanged() -> None:
    number = msgspec.Raw
    tick = Tick(
        "CLZ6", 1, number(b"71.90"), number(b"3"), None, 5, "RpB", None, None, None, None, None, 6, 7, ["price"]
    )
    text = msgspec.json.encode(tick)
    assert b'"price":71.90,' in text
    assert list(msgspec.json.decode(text))[:7] == [
        "symbol",
        "conid",
        "price",
        "size",
        "open_interest",
        "event_time",
        "market_data_type",
    ]


def test_resources_read_back_what_they_write() -> None:
    spec = ShardSpec(
        feed="energy",
        worker=0,
        contracts=(Entry(conid=1, symbol="CLZ6", root="CL", slot=0, epoch=1, state=EntryState.ACTIVE),),
    )
    assert msgspec.convert(msgspec.to_builtins(spec), ShardSpec) == spec


def test_a_feed_names_its_leases_by_source() -> None:
    base = {"roots": [{"symbol": "CL"}], "kafka": {"bootstrapServers": "kafka:9092"}}
    vault = msgspec.convert(
        {**base, "accounts": {"keyVault": {"url": "https://Example.vault.azure.net"}, "first": 3, "count": 2}}, FeedSpec
    )
    assert [vault.accounts.lease_name(i) for i in vault.accounts.indices] == [
        "ib-account-kv-example-3",
        "ib-account-kv-example-4",
    ]
    secret = msgspec.convert({**base, "accounts": {"secretRef": {"name": "ib-paper-accounts"}}}, FeedSpec)
    assert secret.accounts.lease_name(1) == "ib-account-ib-paper-accounts-1"
