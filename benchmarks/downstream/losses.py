"""What is lost or doubled while sinks, broker, Redis and ClickHouse are killed under a stream.

Redis forgets everything when it is killed, so the sink has to fill it again.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from downstream.stage import Stage, running, stage
from downstream.venue import FEED, Venue
from ibfeed.clickhouse import Server
from ibfeed_platform.hot_store.keys import Keys
from support.clickhouse import ClickHouse
from support.redis import RedisServer

PER_S: Final = 500.0
KILLS: Final = int(os.environ.get("KILLS", "10"))
_BETWEEN_S: Final = 4.0
_ARRIVE_S: Final = 90.0
_AGAIN_S: Final = 0.5
Say = Callable[[str], None]


def measure(say: Say) -> dict[str, Any]:
    """Keys ``rows_lost`` and ``rows_duplicated``, of ClickHouse's rows and Redis's latest values together."""
    with stage() as on, RedisServer(on.folder / "redis", durable=False) as redis, on.clickhouse() as clickhouse:
        sink = on.redis_sink(redis.url)
        with running(sink):
            venue = on.venue()
            with _written(venue, KILLS * _BETWEEN_S):
                for number in range(KILLS):
                    time.sleep(_BETWEEN_S)
                    sink.kill()
                    for kill in _others(number, on, redis, clickhouse):
                        say(f"killed the sink, and {kill}")
                    sink.start()
            say(f"{len(venue.sent):,} ticks written, the sink killed {KILLS} times")
            lost, duplicated = _clickhouse(on, clickhouse, venue)
            stale = _redis(redis, venue)
    say(f"ClickHouse: {lost} lost, {duplicated} duplicated; Redis: {stale} of {venue.contracts} values not the latest")
    return {
        "rows_lost": lost + stale,
        "rows_duplicated": duplicated,
        "rows_written": len(venue.sent),
        "sink_kills": KILLS,
    }


def _others(number: int, on: Stage, redis: RedisServer, clickhouse: ClickHouse) -> Iterator[str]:
    """Kill, and start again, one other part at some of the sink's deaths."""
    if number % 10 == 2:
        on.broker.kill()
        asyncio.run(on.broker.start())
        yield "the broker"
    elif number % 10 == 4:
        redis.restart()
        yield "Redis"
    elif number % 10 == 6:
        clickhouse.kill()
        clickhouse.start()
        yield "ClickHouse"


@contextmanager
def _written(venue: Venue, seconds: float) -> Iterator[None]:
    """A feed writes in a thread, and is stopped at the end."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            venue.run(PER_S, 20 * seconds, stop)
        except AssertionError as error:
            failed.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]


def _clickhouse(on: Stage, clickhouse: ClickHouse, venue: Venue) -> tuple[int, int]:
    """Return the ticks that are not in ClickHouse, and the rows that are there twice."""
    server = Server(clickhouse.access())
    table = f"{on.layout.database}.market_tick_rows"
    query = f"SELECT count() AS rows, uniqExact(instrument_id, seq) AS ticks FROM {table} FINAL"
    deadline = time.monotonic() + _ARRIVE_S
    while True:
        (found,) = server.rows(query)
        if found["ticks"] == len(venue.sent) or time.monotonic() > deadline:
            return len(venue.sent) - found["ticks"], found["rows"] - found["ticks"]
        time.sleep(_AGAIN_S)


def _redis(redis: RedisServer, venue: Venue) -> int:
    """Return the contracts whose value in Redis is not the latest."""
    keys, newest = Keys(FEED), venue.newest()
    deadline = time.monotonic() + _ARRIVE_S
    while True:
        with redis.client() as client:
            held: dict[str, Any] = {symbol: client.hmget(keys.tick(symbol), "seq", "price") for symbol in newest}
        wrong: int = sum(held[symbol] != [str(tick.seq), tick.price] for symbol, tick in newest.items())
        if not wrong or time.monotonic() > deadline:
            return wrong
        time.sleep(_AGAIN_S)
