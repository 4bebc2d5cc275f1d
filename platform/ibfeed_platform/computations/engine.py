"""The tables of a computation in memory, and the SQL over them. DuckDB runs it, locked in: no files, no network."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import duckdb

from ibfeed.events import Contract
from ibfeed_platform.computations.results import RESERVED, Row
from ibfeed_platform.computations.ticks import TickRow

MOST_ROWS: Final = 10_000
_DECIMAL: Final = "DECIMAL(18, 9)"  # 9 digits before the point and 9 after it
_TICK_COLUMNS: Final = {
    "symbol": "VARCHAR",
    "conid": "BIGINT",
    "root": "VARCHAR",
    "event_time": "BIGINT",
    "seq": "BIGINT",
    "state": "VARCHAR",
    "price_state": "VARCHAR",
    **dict.fromkeys(
        ("price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest", "traded"), _DECIMAL
    ),
}
_CONTRACT_COLUMNS: Final = {
    "conid": "BIGINT",
    "symbol": "VARCHAR",
    "root": "VARCHAR",
    "exchange": "VARCHAR",
    "trading_class": "VARCHAR",
    "multiplier": _DECIMAL,
    "currency": "VARCHAR",
    "min_price_increment": _DECIMAL,
    "contract_month": "VARCHAR",
    "first_notice_day": "DATE",
    "last_trading_day": "DATE",
}
# The last one locks the others, so that no SQL can undo them.
_LOCKED_IN: Final = (
    "SET threads = 1",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


class ComputationError(Exception):
    """A computation cannot run. The text says why."""


class Engine:
    """The tables ``ticks``, ``latest`` and ``contracts``, and one query. Calls are made by one thread at a time.

    Args:
        sql: one SELECT with a column ``key``.
        window_s: how long a tick stays in the tables, by IB's time.
        limit_s: a query that takes longer is ended.
        memory_mb: what the tables and the query may take together.

    Raises ComputationError if the SQL is not one SELECT, names what there is not, or reaches outside.
    """

    def __init__(self, sql: str, *, window_s: float, limit_s: float, memory_mb: int) -> None:
        self._window_ms: Final = int(window_s * 1000)
        self._limit_s: Final = limit_s
        # Without the second one, a query that needs more memory would fill the disk.
        limits: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": "",
        }
        self._database: Final = duckdb.connect(":memory:", config=limits)
        for table, columns in (("ticks", _TICK_COLUMNS), ("latest", _TICK_COLUMNS), ("contracts", _CONTRACT_COLUMNS)):
            described = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            self._database.execute(f"CREATE TABLE {table} ({described})")
        self._database.execute("CREATE MACRO now_ms() AS epoch_ms(get_current_timestamp())")
        for statement in _LOCKED_IN:
            self._database.execute(statement)
        self._sql: Final = self._checked(sql)

    def clear(self) -> None:
        """Forget all ticks."""
        self._database.execute("DELETE FROM ticks")
        self._database.execute("DELETE FROM latest")

    def set_contracts(self, contracts: Iterable[Contract]) -> None:
        """Replace the table of contracts."""
        self._database.execute("DELETE FROM contracts")
        rows = [[_plain(getattr(one, name)) for name in _CONTRACT_COLUMNS] for one in contracts]
        self._insert("contracts", _CONTRACT_COLUMNS, rows)

    def add(self, rows: Sequence[TickRow]) -> None:
        """Add ticks, in the order of their contracts."""
        newest = list({row.symbol: row for row in rows}.values())
        self._insert("ticks", _TICK_COLUMNS, rows)
        self._database.execute("DELETE FROM latest WHERE list_contains($1, symbol)", [[row.symbol for row in newest]])
        self._insert("latest", _TICK_COLUMNS, newest)

    def compute(self, now_ms: int) -> list[Row]:
        """Forget ticks that are older than the window, and return the rows of the query.

        Raises ComputationError if the query fails, takes too long, or has too many rows.
        """
        for table in ("ticks", "latest"):
            self._database.execute(f"DELETE FROM {table} WHERE event_time < $1", [now_ms - self._window_ms])  # noqa: S608 - ours
        self._database.execute("CHECKPOINT")  # else the memory of what was deleted is not used again
        limit = threading.Timer(self._limit_s, self._database.interrupt)
        limit.start()
        try:
            result = self._database.execute(self._sql)
            names = [column[0] for column in result.description or ()]
            rows = result.fetchmany(MOST_ROWS + 1)
        except duckdb.InterruptException:
            raise ComputationError(f"it took longer than {self._limit_s:g} s and was ended: make it cheaper") from None
        except duckdb.Error as error:
            raise ComputationError(_first_line(error)) from None
        finally:
            limit.cancel()
        if len(rows) > MOST_ROWS:
            raise ComputationError(f"its result has more than {MOST_ROWS} rows: add up, or filter")
        return [dict(zip(names, values, strict=True)) for values in rows]

    def close(self) -> None:
        """Release the memory."""
        self._database.close()

    def _insert(self, table: str, columns: dict[str, str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows as columns, which is a hundred times faster. A number that does not fit becomes null."""
        if not rows:
            return
        values = ", ".join(
            f"TRY_CAST(unnest(${place}) AS {kind})" for place, kind in enumerate(columns.values(), start=1)
        )
        self._database.execute(
            f"INSERT INTO {table} SELECT {values}", [list(column) for column in zip(*rows, strict=True)]
        )

    def _checked(self, sql: str) -> str:
        """Return the text of the one statement. Raises ComputationError."""
        try:
            statements = self._database.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ComputationError("it is not one SELECT, and nothing else is run")
            text = str(statements[0].query).strip().rstrip(";")
            columns = [str(row[0]) for row in self._database.execute(f"DESCRIBE {text}").fetchall()]
        except duckdb.Error as error:
            raise ComputationError(_first_line(error)) from None
        if "key" not in columns:
            raise ComputationError("its result has no column `key`, which tells the rows apart")
        for name in columns:
            if name in RESERVED or columns.count(name) > 1:
                raise ComputationError(f"its result may not have a column `{name}`, or not twice: rename it")
        return text


def _plain(value: object) -> Any:
    return value if value is None or isinstance(value, (int, str)) else str(value)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
