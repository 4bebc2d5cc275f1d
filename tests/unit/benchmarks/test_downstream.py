"""What the downstream benchmark says of latencies and of the order of values."""

from __future__ import annotations

import pytest

from downstream.arrivals import Look, latencies_ms, quantiles
from downstream.order import stale
from downstream.venue import Sent, symbol_of

MS = 1_000_000


def sent(seq: int, at_ms: int, symbol: str = "CLZ6") -> Sent:
    return Sent(symbol=symbol, conid=1, epoch=1, seq=seq, event_ms=at_ms, price="71.90", at_ns=at_ms * MS)


def look(seq: int, at_ms: int, symbol: str = "CLZ6") -> Look:
    return symbol, seq, at_ms * MS


def test_tick_that_a_newer_one_replaced_counts_from_the_newer_one() -> None:
    assert latencies_ms([sent(1, 0), sent(2, 10)], [look(2, 30)]) == [30.0, 20.0]


def test_tick_counts_at_its_first_look() -> None:
    assert latencies_ms([sent(1, 0), sent(2, 10)], [look(1, 5), look(1, 8), look(2, 30)]) == [5.0, 20.0]


def test_contracts_are_apart_and_unseen_ticks_have_no_latency() -> None:
    ticks = [sent(1, 0), sent(1, 0, "NGZ6"), sent(2, 10)]
    assert latencies_ms(ticks, [look(1, 7, "NGZ6"), look(9, 1, "GCZ6"), look(1, 4)]) == [7.0, 4.0]


def test_quantiles_say_of_how_many() -> None:
    assert quantiles([float(value) for value in range(1, 101)]) == {"n": 100, "p50": 50.0, "p99": 99.0, "max": 100.0}


def test_value_that_goes_back_is_stale() -> None:
    assert stale([look(1, 0), look(3, 1), look(2, 2), look(3, 3), look(3, 4)]) == 1
    assert stale([look(1, 0), look(9, 1, "NGZ6"), look(2, 2)]) == 0


@pytest.mark.parametrize(("slot", "symbol"), [(0, "T00F6"), (11, "T00Z6"), (12, "T01F6")])
def test_symbols_are_unique(slot: int, symbol: str) -> None:
    assert symbol_of(slot) == symbol
    assert len({symbol_of(number) for number in range(400)}) == 400
