from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ibfeed.records import decode_contract
from ibfeed_platform.computations.engine import MOST_ROWS, ComputationError, Engine
from ibfeed_platform.computations.library import shipped
from ibfeed_platform.computations.ticks import TickRow
from support.reader_records import contract

NOW = 1_795_244_400_000


def engine(sql: str, limit_s: float = 5.0) -> Engine:
    return Engine(sql, window_s=900, limit_s=limit_s, memory_mb=64)


def row(seq: int, symbol: str = "CLZ6", price: str | None = "71.90", at_ms: int = NOW) -> TickRow:
    numbers = dict.fromkeys(("size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest", "traded"))
    return TickRow(symbol, 1, "CL", at_ms, seq, "live", "live", price, **numbers)


@pytest.mark.parametrize("name", ["calendar_spreads", "rolling_vwap"])
def test_shipped_computations_run_on_empty_tables(name: str) -> None:
    assert engine(shipped()[name]).compute(NOW) == []


def test_numbers_stay_exact() -> None:
    one = engine("SELECT symbol AS key, price - 71.89 AS difference FROM latest")
    one.add([row(1)])
    assert one.compute(NOW) == [{"key": "CLZ6", "difference": Decimal("0.01")}]


def test_latest_has_the_last_tick_of_each_symbol() -> None:
    one = engine("SELECT symbol AS key, price FROM latest ORDER BY key")
    one.add([row(1), row(2, price="72"), row(1, "CLF7", "70")])
    one.add([row(3, price="73")])
    assert [(found["key"], found["price"]) for found in one.compute(NOW)] == [("CLF7", 70), ("CLZ6", 73)]


def test_ticks_leave_when_the_window_has_passed() -> None:
    one = engine("SELECT 'all' AS key, count(*) AS ticks, (SELECT count(*) FROM latest) AS last FROM ticks")
    one.add([row(1, at_ms=NOW - 901_000), row(1, "CLF7", at_ms=NOW - 899_000)])
    assert one.compute(NOW) == [{"key": "all", "ticks": 1, "last": 1}]
    one.clear()
    assert one.compute(NOW) == [{"key": "all", "ticks": 0, "last": 0}]


def test_a_number_that_does_not_fit_is_null() -> None:
    one = engine("SELECT symbol AS key, price FROM latest")
    one.add([row(1, price="1e30")])
    assert one.compute(NOW) == [{"key": "CLZ6", "price": None}]


def test_contracts_are_replaced() -> None:
    one = engine("SELECT symbol AS key, multiplier, last_trading_day FROM contracts")
    for _ in range(2):
        one.set_contracts([decode_contract(contract().value() or b"")])
    (found,) = one.compute(NOW)
    assert found["multiplier"] == 1000
    assert str(found["last_trading_day"]) == "2026-11-20"


@pytest.mark.parametrize(
    ("sql", "cause"),
    [
        ("SELECT nothing AS key FROM ticks", '"nothing" not found'),
        ("SELECT symbol AS key FROM", "syntax error"),
        ("", "not one SELECT"),
        ("DROP TABLE ticks", "not one SELECT"),
        ("SELECT 1 AS key; SELECT 2 AS key", "not one SELECT"),
        ("WITH x AS (INSERT INTO ticks SELECT * FROM ticks RETURNING *) SELECT 1 AS key FROM x", ""),
        ("SELECT price FROM latest", "no column `key`"),
        ("SELECT symbol AS key, seq FROM latest", "rename it"),
        ("SELECT symbol AS key, price, price FROM latest", "rename it"),
    ],
)
def test_faulty_sql_is_refused_before_it_runs(sql: str, cause: str) -> None:
    with pytest.raises(ComputationError) as failure:
        engine(sql)
    assert cause in str(failure.value)


FILE = Path("/etc/hostname")


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT content AS key FROM read_text('{FILE}')",
        f"SELECT content AS key FROM read_blob('{FILE}')",
        f"SELECT column0 AS key FROM read_csv('{FILE}')",
        f"SELECT 1 AS key FROM '{FILE}'",
        "SELECT file AS key FROM glob('/etc/*')",
        f"SELECT 1 AS key FROM sniff_csv('{FILE}')",
        "SELECT 1 AS key FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT 1 AS key FROM read_parquet('s3://bucket/x.parquet')",
        "ATTACH '/tmp/x.db'",
        "COPY ticks TO '/tmp/ticks.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT 1 AS key FROM Path",  # a variable of Python's
        f"SELECT content AS key FROM read_text((SELECT '{FILE}'))",
        f"SELECT 1 AS key FROM query('FROM read_text(''{FILE}'')')",
    ],
)
def test_sql_reaches_no_file_and_no_network(sql: str) -> None:
    assert FILE.exists()
    with pytest.raises(ComputationError):
        engine(sql).compute(NOW)


def test_a_query_that_takes_too_long_is_ended() -> None:
    one = engine("SELECT max(a.range * b.range) AS key FROM range(100000) AS a, range(100000) AS b", limit_s=0.2)
    with pytest.raises(ComputationError, match=r"longer than 0\.2 s"):
        one.compute(NOW)
    assert engine("SELECT 1 AS key").compute(NOW) == [{"key": 1}]


def test_a_result_without_end_is_refused() -> None:
    with pytest.raises(ComputationError, match="more than"):
        engine(f"SELECT range AS key FROM range({MOST_ROWS + 1})").compute(NOW)


def test_a_query_that_needs_too_much_memory_is_told() -> None:
    one = engine("SELECT count(*) AS key FROM (SELECT DISTINCT range || repeat('x', 100) FROM range(2000000))")
    with pytest.raises(ComputationError, match="Memory"):
        one.compute(NOW)
