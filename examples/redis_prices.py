"""The latest price of each contract, from the hot store in Redis.

pip install redis and then: python redis_prices.py redis://redis:6379/0 energy
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import redis


def prices(url: str, feed: str) -> Iterator[tuple[str, str, float]]:
    """Yield symbol, price as IB wrote it, and age in seconds. A contract without a tick for 5 minutes is not there."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        for key in sorted(client.scan_iter(f"ibfeed:{feed}:tick:*")):
            symbol, price, event_time = client.hmget(key, ["symbol", "price", "event_time"])
            if symbol and price and event_time:  # else it has expired just now
                yield symbol, price, time.time() - int(event_time) / 1000


if __name__ == "__main__":
    for symbol, price, age in prices(sys.argv[1], sys.argv[2]):
        print(f"{symbol:<12}{price:>16}  {age:.1f} s old")
