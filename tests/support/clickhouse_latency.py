"""How long an update takes to the view of the latest ticks. The tests try it, and a benchmark measures with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from ibfeed.clickhouse import Layout, Server
from ibfeed_api.records import Tick, seq_of
from support.clickhouse_store import Store, message
from support.reader_records import EPOCH, FakeMessage

_LOOK_S: Final = 0.02  # more looks would take the processor from what is measured


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from an update's event time.

    Args:
        written: until ClickHouse began to write it, of each update.
        seen: until a reader of ``latest_tick`` saw it, of each look that showed a new one. A look takes time itself.
    """

    written: list[float]
    seen: list[float]


def watch(server: Server, layout: Layout, seconds: float) -> Latencies:
    """Watch the latest ticks while another one writes. All clocks must be this machine's."""
    table = f"`{layout.database}`"
    known, seen = _newest(server, table), list[float]()
    begin, deadline = time.time(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        newest = _newest(server, table)
        now = time.time() * 1000
        if newest > known:
            known = newest
            seen.append(now - newest)
    written = server.rows(
        f"SELECT toUnixTimestamp64Milli(inserted_time) - event_time AS took FROM {table}.market_tick_rows FINAL"
        f" WHERE event_time BETWEEN {round(begin * 1000)} AND {known}"
    )
    return Latencies([float(row["took"]) for row in written], seen)


def write_steadily(store: Store, rate: int, seconds: float) -> None:
    """Write ticks of 100 instruments at a steady rate, with the time of writing as event time."""
    for number, at in enumerate(_beats(rate, seconds)):
        conid, count = 1_000_000 + number % 100, number // 100 + 1
        store.write(_tick(conid, count, round(at * 1000)), wait=False)


def measured(store: Store, rate: int = 500, seconds: float = 20.0) -> Latencies:
    """Write and watch at the same time."""
    writer = threading.Thread(target=write_steadily, args=(store, rate, seconds))
    writer.start()
    try:
        return watch(store.server, store.layout, seconds)
    finally:
        writer.join()


def _beats(rate: int, seconds: float) -> Iterator[float]:
    """Yield the time whenever an update is due. Updates that are late come at once, with their real time."""
    begin = time.monotonic()
    for number in range(int(rate * seconds)):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        yield time.time()


def _newest(server: Server, table: str) -> int:
    # Other tests write times of the far future.
    (row,) = server.rows(
        f"SELECT max(event_time) AS newest FROM {table}.latest_tick"
        " WHERE event_time < toUnixTimestamp64Milli(now64(3) + INTERVAL 1 MINUTE)"
    )
    return int(row["newest"])


def _tick(conid: int, count: int, at_ms: int) -> FakeMessage:
    number = msgspec.Raw(b"1")
    record = Tick(
        symbol=f"T{conid}Z6",
        conid=conid,
        price=msgspec.Raw(b"71.90"),
        size=number,
        open_interest=None,
        event_time=at_ms,
        market_data_type="RpB",
        bid=msgspec.Raw(b"71.89"),
        bid_size=number,
        ask=msgspec.Raw(b"71.91"),
        ask_size=number,
        volume=number,
        received_ns=at_ms * 1_000_000,
        seq=seq_of(EPOCH, count),
        flags=["price"],
    )
    return message("ticklast", msgspec.json.encode(record), conid=conid, epoch=EPOCH)
