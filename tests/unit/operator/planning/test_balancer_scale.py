"""A plan's time grows with the feed, not with its square: a ratio, since machines differ."""

from __future__ import annotations

import time

from ibfeed_operator.planning.balancer import Capacity, Demand, plan


def seconds(contracts: int, workers: int) -> float:
    """Of one plan in which a worker joins the others; the best of five, of processor time."""
    demands = [Demand(conid, f"2031{conid % 12:02d}20") for conid in range(contracts)]
    capacities = [Capacity(worker, 100) for worker in range(workers)]
    before = plan(demands, capacities[:-1], {}).owners

    def once() -> float:
        begun = time.process_time()
        plan(demands, capacities, before)
        return time.process_time() - begun

    return min(once() for _ in range(5))


def test_ten_times_the_feed_takes_ten_times_as_long_not_a_hundred_times() -> None:
    assert seconds(10_000, 200) < 35 * seconds(1_000, 20)
