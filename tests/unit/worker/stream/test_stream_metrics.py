"""The data path's metrics that alerts ask for: gaps, latency, and contracts that trade."""

from __future__ import annotations

import time
from functools import partial

import pytest
from prometheus_client import CollectorRegistry

from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.publish import LATENCY_BUCKETS_S, LatencyCounts
from ibfeed_worker.stream.staleness import Patience
from ibfeed_worker.stream.staleness_monitor import StalenessMonitor
from support.fake_broker import FakeBroker
from unit.worker.stream.bench import FULL, Bench, entry

NOW = time.time()
DAY = Hours((Span(NOW - 7200, NOW + 7200), Span(NOW + 10_800, NOW + 20_000)))


def value(bench: Bench, name: str, **labels: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(bench.streamer.collector)
    return registry.get_sample_value(name, labels)


def is_acknowledged(bench: Bench, count: int) -> bool:
    return value(bench, "ibfeed_ticks_acknowledged_total") == count


async def test_a_gap_that_readers_are_told_of_is_counted(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame({**FULL, "31": "70.01"})
    assert value(bench, "ibfeed_gaps_total") == 0
    bench.subscribe()  # again, on the same connection: it was ended in between
    bench.frame({**FULL, "31": "70.02"}, after_ms=9000)
    assert len(broker.events("gap")) == 1
    assert value(bench, "ibfeed_gaps_total") == 1


async def test_one_tick_of_sixteen_gives_a_latency_and_never_the_first(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.now -= 60_000
    for count, sampled in ((1, 0), (15, 0), (16, 1), (40, 2)):
        for number in range(len(broker.ticks()), count):
            bench.frame({**FULL, "31": f"70.{number:02d}"})
        await bench.until(partial(is_acknowledged, bench, count))
        assert value(bench, "ibfeed_tick_latency_seconds_count") == sampled
    total = value(bench, "ibfeed_tick_latency_seconds_sum")
    assert total is not None
    assert 2 * 40 < total < 2 * 60, "the seconds since IB's time of the ticks"


@pytest.mark.parametrize(("seconds", "bound"), [(0.0, 0.05), (6.0, 6.0), (6.001, 8.0), (60.0, 60.0)])
def test_a_latency_lies_below_the_bound_of_its_bucket(seconds: float, bound: float) -> None:
    counts = LatencyCounts()
    counts.observe(seconds)
    assert counts.buckets.index(1) == LATENCY_BUCKETS_S.index(bound)


def test_a_latency_above_all_bounds_is_counted_apart() -> None:
    counts = LatencyCounts()
    counts.observe(61.0)
    assert counts.buckets[-1] == sum(counts.buckets) == 1


async def test_contracts_trade_within_their_hours(bench: Bench) -> None:
    bench.streamer.obey((entry(),))
    monitor = StalenessMonitor(Patience(), lambda _: DAY)
    contracts = bench.streamer._contracts.values()
    assert [monitor.trading(contracts, NOW + after) for after in (0, 7201, 10_801, 20_001)] == [1, 0, 1, 0]


async def test_contracts_are_counted_by_state(bench: Bench) -> None:
    await bench.begin(entry(), entry(conid=8))
    assert value(bench, "ibfeed_contracts", state="subscribing") == 2
    assert value(bench, "ibfeed_contracts", state="silent") == 0
