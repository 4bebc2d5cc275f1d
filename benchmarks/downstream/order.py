"""Whether an older value ever takes the place of a newer one, while all ticks come again in a random order."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final

from downstream.arrivals import Look, RedisWatcher
from downstream.stage import running, stage
from downstream.venue import FEED, Sent, Venue, symbol_of
from ibfeed_platform.hot_store.keys import Keys
from support.redis import RedisServer
from support.spark import SparkJob

_CONTRACTS: Final = 50
_EPOCHS: Final = 3
_EACH: Final = 40  # ticks of a contract in an epoch
_COPIES: Final = 3
_ARRIVE_S: Final = 180.0
Say = Callable[[str], None]


def measure(say: Say) -> dict[str, Any]:
    """Key ``stale_overwrites``: of two plain consumers that share the partitions, and of the Spark job."""
    with stage() as on, ExitStack() as stack:
        plain, spark = (stack.enter_context(RedisServer(on.folder / name)) for name in ("plain", "by-spark"))
        for name in ("one", "other"):
            stack.enter_context(running(on.redis_sink(plain.url, name)))
        job = SparkJob(on.folder / "spark", kafka=on.broker.servers, feed=FEED, topics=on.topics, redis=spark.url)
        stack.enter_context(job)
        watchers = {
            name: RedisWatcher(stack.enter_context(server.client()), map(symbol_of, range(_CONTRACTS)), Keys(FEED))
            for name, server in (("plain", plain), ("spark", spark))
        }
        for watcher in watchers.values():
            stack.enter_context(watcher)
        venue = on.venue(_CONTRACTS)
        _write(venue)
        job.await_query()
        last = _replay(venue)
        for watcher in watchers.values():
            watcher.await_all(last, _ARRIVE_S)
    older = {name: stale(watcher.looks) for name, watcher in watchers.items()}
    looks = {name: len(watcher.looks) for name, watcher in watchers.items()}
    say(f"{len(venue.sent)} ticks, replayed {_COPIES} times: looks {looks}, stale {older}")
    return {"stale_overwrites": sum(older.values()), "stale_looks": looks}


def _write(venue: Venue) -> None:
    """Write all ticks once, in order, of assignments that follow each other."""
    for _ in range(_EPOCHS):
        for number in range(_EACH * _CONTRACTS):
            venue.write(number)
        venue.epoch += 60
    venue.flush()


def _replay(venue: Venue) -> dict[str, Sent]:
    """Write them again in a random order, and then a last one of each contract; return the last ones.

    A partition is read in order. So the replay has been read when the last ones have.
    """
    again = venue.sent * _COPIES
    random.Random(7).shuffle(again)
    for tick in again:
        venue.produce(tick)
    for number in range(_CONTRACTS):
        venue.write(number)
    venue.flush()
    return venue.newest()


def stale(looks: Sequence[Look]) -> int:
    """Return how often a look at a contract found an older tick than the look before."""
    by_symbol: dict[str, list[int]] = {}
    for symbol, seq, _ in looks:
        by_symbol.setdefault(symbol, []).append(seq)
    return sum(after < before for found in by_symbol.values() for before, after in pairwise(found))
