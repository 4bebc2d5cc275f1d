"""A ClickHouse server: the only module of the package that talks to it."""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.categories import categories
from ibfeed.clickhouse.errors import ClickHouseRefusedError, ClickHouseUnreachableError
from ibfeed.clickhouse.group import reach
from ibfeed.clickhouse.health import KafkaConsumer, Observation, Reach, Rows
from ibfeed.clickhouse.layout import Layout, LayoutError
from ibfeed.clickhouse.migration import Present, Step, plan
from ibfeed.clickhouse.roles import statements
from ibfeed.clickhouse.schema import create_database, objects
from ibfeed.errors import KafkaUnreachableError, MissingExtraError

# Codes of ClickHouse's ErrorCodes.cpp for what passes: timeouts, network, memory, too many queries or parts, Keeper.
_PASSING: Final = frozenset({159, 202, 209, 210, 241, 242, 252, 319, 425, 999})
_REMEDIES: Final = {
    516: "check the user and the password",
    192: "check the user and the password",
    497: "give the user the right that ClickHouse names",
    495: "keep users and roles in files: see ibfeed clickhouse ddl --roles users.xml",
}
_CONNECT_S: Final = 10
_ANSWER_S: Final = 60
# Where the newest time of a category is found at little cost. Ticks and books have many rows, and small tables beside.
_NEWEST: Final = {
    "market_tick": "SELECT max(event_time) FROM {db}.market_tick_latest",
    "order_book": "SELECT max(at) FROM (SELECT argMaxMerge(head).event_time AS at FROM {db}.order_book_heads"
    " GROUP BY source_system, instrument_id, record_epoch)",
    "feed_event": "SELECT max(recorded_time) FROM {db}.feed_event_rows",
    "contract": "SELECT max(recorded_time) FROM {db}.contract_rows",
}


@dataclass(frozen=True)
class Access:
    """How to reach a server.

    Args:
        url: of its HTTP interface, such as ``http://clickhouse:8123``.
        password: it is never shown.

    Raises:
        LayoutError: the URL cannot be used.
    """

    url: str
    user: str = "default"
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse a URL that has a password in it: URLs are shown in errors and logs."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise LayoutError("the address of ClickHouse must be like http://HOST:8123 or https://HOST:8443")
        if parts.username is not None or parts.password is not None:
            raise LayoutError("the address of ClickHouse holds a user or a password: give them apart")


class Server:
    """A connection to a server. It is made with the first call, and again after an error."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client: Any = None

    def apply(self, layout: Layout) -> list[str]:
        """Bring the database to the layout; return what was done, in words. A second run does nothing.

        Raises:
            ClickHouseUnreachableError: it does not answer.
            ClickHouseRefusedError: it refuses, or holds a table that is not ours.
        """
        self.run(Step(create_database(layout)))
        steps = plan(layout, objects(layout), self.present(layout))
        for step in steps:
            self.run(step)
        return [step.told for step in steps if step.told]

    def apply_roles(self, layout: Layout) -> None:
        """Make the roles of readers. Raises as ``apply`` does."""
        for statement in statements(layout):
            self.run(Step(statement))

    def run(self, step: Step) -> None:
        """Run one statement without a result."""
        with self._told() as client:
            client.command(step.statement)

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query, each by column names."""
        with self._told() as client:
            return list(client.query(query, parameters=dict(parameters or {})).named_results())

    def present(self, layout: Layout) -> Present:
        """Return the objects that the database has now."""
        of = f"database = {sql.text(layout.database)}"
        tables = self.rows(f"SELECT name, engine, comment FROM system.tables WHERE {of}")
        columns: dict[str, dict[str, str]] = {}
        for row in self.rows(f"SELECT table, name, type FROM system.columns WHERE {of}"):
            columns.setdefault(row["table"], {})[row["name"]] = row["type"]
        return Present(
            {row["name"]: row["comment"] for row in tables}, {row["name"]: row["engine"] for row in tables}, columns
        )

    def observe(self, layout: Layout, kafka: Mapping[str, str]) -> Observation:
        """Look at the database and at the group's offsets.

        Args:
            kafka: further properties of librdkafka, to ask Kafka for offsets.
        """
        outstanding = [step.told for step in plan(layout, objects(layout), self.present(layout)) if step.told]
        told, why = _reach(layout, kafka)
        if outstanding:
            return Observation(outstanding, reach=told, reach_error=why)
        database = sql.name(layout.database)
        problems = self.rows(
            f"SELECT count() OVER () AS total, topic, kafka_partition, kafka_offset, problem"
            f" FROM {database}.`rejected` FINAL ORDER BY inserted_time DESC LIMIT 3"
        )
        return Observation(
            consumers=self._consumers(layout),
            rows={name: self._rows(layout, name) for name in read_categories(layout)},
            reach=told,
            reach_error=why,
            rejected=problems[0]["total"] if problems else 0,
            problems=[
                f"{one['topic']}[{one['kafka_partition']}]@{one['kafka_offset']}: {one['problem']}" for one in problems
            ],
        )

    def latencies(self, layout: Layout, seconds: float) -> list[float]:
        """Return ms from IB's time to ClickHouse's, of up to 1,000 ticks that were written in the last seconds."""
        table = f"{sql.name(layout.database)}.`market_tick_rows`"
        if layout.topics.ticks is None:
            return []
        found = self.rows(
            f"SELECT toUnixTimestamp64Milli(inserted_time) - event_time AS took FROM {table}"
            f" WHERE inserted_time > now64(3) - INTERVAL {round(seconds * 1000)} MILLISECOND"
            " ORDER BY inserted_time DESC LIMIT 1000"
        )
        return [float(row["took"]) for row in found]

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _rows(self, layout: Layout, category: str) -> Rows:
        database = sql.name(layout.database)
        newest = _NEWEST[category].replace("{db}", database)
        (row,) = self.rows(
            f"SELECT (SELECT count() FROM {database}.{sql.name(f'{category}_rows')}) AS total, ({newest}) AS newest"
        )
        return Rows(row["total"], row["newest"] if row["total"] else None)

    def _consumers(self, layout: Layout) -> list[KafkaConsumer]:
        found = self.rows(
            "SELECT table, length(assignments.partition_id) AS partitions, exceptions.text AS texts,"
            " arrayMap(at -> dateDiff('second', at, now()), exceptions.time) AS ages"
            f" FROM system.kafka_consumers WHERE database = {sql.text(layout.database)}"
        )
        return [KafkaConsumer(row["table"], row["partitions"], _exceptions(row["ages"], row["texts"])) for row in found]

    @contextlib.contextmanager
    def _told(self) -> Iterator[Any]:
        """Give the connection, and turn its errors into ours."""
        library = _library()
        errors = importlib.import_module("clickhouse_connect.driver.exceptions")
        try:
            if self._client is None:
                self._client = self._connect(library)
            yield self._client
        except errors.Error as error:
            self.close()
            raise self._error(error) from None

    def _connect(self, library: Any) -> Any:
        parts = urlsplit(self._access.url)
        return library.get_client(
            host=parts.hostname,
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            secure=parts.scheme == "https",
            username=self._access.user,
            password=self._access.password,
            connect_timeout=_CONNECT_S,
            send_receive_timeout=_ANSWER_S,
            autogenerate_session_id=False,
            query_retries=0,
        )

    def _error(self, error: Any) -> ClickHouseUnreachableError | ClickHouseRefusedError:
        cause = _cause(error)
        where = f"ClickHouse at {self._access.url}"
        if error.code is None or error.code in _PASSING:
            return ClickHouseUnreachableError(
                f"{where} does not answer as it should ({cause}): is it up, and the address right?"
            )
        remedy = _REMEDIES.get(error.code, "see what it names")
        return ClickHouseRefusedError(f"{where} refuses ({cause}): {remedy}")


def groups(layout: Layout) -> dict[str, str]:
    """Return the consumer group of each topic."""
    return {layout.topic_of(name) or "": layout.group_of(name) for name in read_categories(layout)}


def _cause(error: Exception) -> str:
    """Return what is wrong, without the parts by which the library and ClickHouse say that it is an exception."""
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    for form in (r"DB::Exception: (.*?)(?: \(version [^()]*\))?(?: \(for url .*)?$", r"\[Errno -?\d+\] ([^\"')]+)"):
        if told := re.search(form, line):
            return told[1]
    return line


def read_categories(layout: Layout) -> list[str]:
    """Return the categories whose topics the layout names."""
    return [name for name in categories() if layout.topic_of(name) is not None]


def _exceptions(ages: Sequence[int], texts: Sequence[str]) -> tuple[tuple[float, str], ...]:
    """Return ages and first lines, the oldest first. The other lines are ClickHouse's stack."""
    return tuple((age, text.partition("\n")[0]) for age, text in sorted(zip(ages, texts, strict=True), reverse=True))


def _reach(layout: Layout, kafka: Mapping[str, str]) -> tuple[Mapping[str, Reach], str]:
    try:
        return reach(layout.servers, groups(layout), kafka), ""
    except KafkaUnreachableError as error:
        return {}, str(error)


def _library() -> Any:
    try:
        return importlib.import_module("clickhouse_connect")
    except ImportError:
        raise MissingExtraError("clickhouse_connect is not installed: pip install 'ibfeed[clickhouse]'") from None
