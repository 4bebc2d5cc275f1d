"""Ticks and batches of records for the tests of recordings."""

from __future__ import annotations

import json
import random

from ibfeed.recording.records import Batch, Headers

DAY_MS = 86_400_000
START_MS = 20_783 * DAY_MS  # a UTC midnight
HEADERS: Headers = (("epoch", b"1795244400"), ("worker", b"energy-0"), ("schema", b"ticklast/2"))


def ticks(count: int, *, conid: int = 495512572, symbol: str = "CLZ6", seed: int = 1) -> list[tuple[int, bytes]]:
    """Time in ms and value of ticks as a busy contract has them: a random walk, two updates a second at most."""
    dice = random.Random(seed)
    price, volume, time, seq = 7190, 87250, START_MS, (1795244400 << 20) + 1
    sizes = {"size": 3, "bid_size": 12, "ask_size": 9}
    found = []
    for _ in range(count):
        time += dice.choice((500, 500, 500, 1000, 1500)) + dice.randint(-20, 20)
        flags = [name for name in sizes if dice.random() < 0.6]
        sizes.update({name: max(1, sizes[name] + dice.randint(-6, 6)) for name in flags})
        step = dice.choice((-1, 0, 0, 1))
        price, flags = price + step, [*(["price"] if step else []), *flags]
        if "size" in flags:
            volume, flags = volume + sizes["size"], [*flags, "volume"]
        received = time * 1_000_000 + int(dice.gauss(60, 15) * 1e6)
        told = json.dumps(flags, separators=(",", ":"))
        value = (
            f'{{"symbol":"{symbol}","conid":{conid},"price":{price / 100:.2f},"size":{sizes["size"]},'
            f'"open_interest":312456,"event_time":{time},"market_data_type":"RpB","bid":{price / 100 - 0.01:.2f},'
            f'"bid_size":{sizes["bid_size"]},"ask":{price / 100 + 0.01:.2f},"ask_size":{sizes["ask_size"]},'
            f'"volume":{volume},"received_ns":{received},"seq":{seq},"flags":{told}}}'
        )
        seq += 1
        found.append((received // 1_000_000, value.encode()))
    return found


def batch(count: int = 3, *, first_offset: int = 0, partition: int = 0, key: bytes | None = b"495512572") -> Batch:
    """A batch of ticks."""
    found = ticks(count)
    return Batch(
        "ticklast",
        partition,
        key,
        [first_offset + 7 * number for number in range(count)],
        [time for time, _ in found],
        [HEADERS] * count,
        [value for _, value in found],
    )
