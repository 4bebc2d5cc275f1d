from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.feed import FeedSpec
from ibfeed_api.names import EntryState
from ibfeed_api.records import Tick, epoch_of, seq_of
from ibfeed_api.shard import Entry, ShardSpec

LIMIT_OF_EXACT_JSON_INTEGERS = 2**53


@given(st.integers(1, 2**21 - 1), st.integers(0, 2**32 - 1), st.integers(1, 2**21 - 1), st.integers(0, 2**32 - 1))
def test_seq_grows_with_epoch_then_count(epoch: int, count: int, later: int, other: int) -> None:
    assert (seq_of(epoch, count) < seq_of(later, other)) == ((epoch, count) < (later, other))
    assert seq_of(epoch, count) < LIMIT_OF_EXACT_JSON_INTEGERS
    assert epoch_of(seq_of(epoch, count)) == epoch


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
