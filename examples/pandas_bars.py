"""One-minute bars of the last hour, as a pandas table.

pip install 'ibfeed[pandas]' and then: python pandas_bars.py kafka:9092
"""

from __future__ import annotations

import datetime as dt
import sys

import pandas as pd

import ibfeed


def bars(servers: str, topics: ibfeed.Topics) -> pd.DataFrame:
    """Return open, high, low, close and the number of updates, by symbol and minute."""
    events = ibfeed.read(servers, start=dt.timedelta(hours=1), until="now", topics=topics)
    ticks = ibfeed.to_pandas(events)
    traded = ticks[[("price" in flags and "previous_close" not in flags) for flags in ticks["flags"]]]
    prices = traded.set_index("event_time").groupby("symbol")["price"].resample("1min")
    found: pd.DataFrame = prices.ohlc().assign(updates=prices.count()).dropna()
    return found


if __name__ == "__main__":
    print(bars(sys.argv[1], ibfeed.Topics()))
