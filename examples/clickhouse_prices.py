"""The latest price of each contract, from ClickHouse.

pip install clickhouse-connect and then: CLICKHOUSE_PASSWORD=... python clickhouse_prices.py http://clickhouse:8123 desk
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect

QUERY = Path(__file__).with_suffix(".sql").read_text()


def prices(url: str, user: str, password: str, database: str = "ibfeed") -> list[Mapping[str, Any]]:
    """Return symbol, price, unit, state and age of each contract."""
    with clickhouse_connect.get_client(dsn=url, username=user, password=password) as client:
        return list(client.query(QUERY, parameters={"database": database}).named_results())


if __name__ == "__main__":
    for row in prices(sys.argv[1], sys.argv[2], os.environ["CLICKHOUSE_PASSWORD"]):
        print(f"{row['symbol']:<12}{row['price']:>16}  {row['unit']}  {row['state']}, {row['age_ms']} ms old")
