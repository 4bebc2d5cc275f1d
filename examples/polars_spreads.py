"""The mean spread of each contract over the last hour, as a polars frame.

pip install 'ibfeed[polars]' and then: python polars_spreads.py kafka:9092
"""

from __future__ import annotations

import datetime as dt
import sys

import polars as pl

import ibfeed


def spreads(servers: str, topics: ibfeed.Topics) -> pl.DataFrame:
    """Return the mean of ask less bid, and the number of quotes, by symbol; the widest spread first."""
    events = ibfeed.read(servers, start=dt.timedelta(hours=1), until="now", topics=topics)
    quotes = ibfeed.to_polars(events).filter(pl.col("bid").is_not_null() & pl.col("ask").is_not_null())
    spread = (pl.col("ask") - pl.col("bid")).mean().alias("spread")
    return quotes.group_by("symbol").agg(spread, pl.len().alias("quotes")).sort("spread", descending=True)


if __name__ == "__main__":
    print(spreads(sys.argv[1], ibfeed.Topics()))
