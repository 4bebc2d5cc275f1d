"""The troubles of a running feed's tables, and what to do about each. They are found without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ibfeed.clickhouse import sql
from ibfeed.clickhouse.layout import Layout

RECENT_S: Final = 600  # an exception that is older has passed, or a consumer would show a younger one
MOST_LAG: Final = 10_000  # records: 20 s of a feed of 500 updates/s


@dataclass(frozen=True)
class Reach:
    """How far the group has come with a topic: offsets, as sums over the partitions.

    Args:
        done: records up to here are written. ClickHouse commits after it has written.
        end: where the next record will be.
    """

    done: int
    end: int

    @property
    def lag(self) -> int:
        return self.end - self.done


@dataclass(frozen=True)
class KafkaConsumer:
    """A consumer of ClickHouse, as ``system.kafka_consumers`` shows it.

    Args:
        table: Kafka's table.
        partitions: how many it reads.
        exceptions: age in seconds and text of each of the last ones, the newest last.
    """

    table: str
    partitions: int
    exceptions: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Rows:
    """The rows of a category: how many, and the time of the newest in ms since 1970. None: there is no row.

    Copies that ClickHouse has not merged yet count, too: to leave them out would read the whole table.
    """

    count: int
    newest_ms: int | None


@dataclass(frozen=True)
class Observation:
    """A look at a database.

    Args:
        outstanding: what ``apply`` would do.
        consumers: ClickHouse's consumers of Kafka.
        rows: by category.
        reach: by topic; empty: ``reach_error`` tells why.
        rejected: records that could not be stored.
        problems: the last ones of them, for a person to read.
    """

    outstanding: Sequence[str] = ()
    consumers: Sequence[KafkaConsumer] = ()
    rows: Mapping[str, Rows] = field(default_factory=dict)
    reach: Mapping[str, Reach] = field(default_factory=dict)
    reach_error: str = ""
    rejected: int = 0
    problems: Sequence[str] = ()

    @property
    def lag(self) -> int | None:
        """Records that are not written yet; None: not known."""
        return sum(one.lag for one in self.reach.values()) if self.reach else None


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: the cause, and what to do."""

    cause: str
    remedy: str


def findings(layout: Layout, seen: Observation, categories: Sequence[str]) -> list[Finding]:
    """Return all that is wrong. ``categories`` are those that the layout reads."""
    if seen.outstanding:
        changes = "; ".join(seen.outstanding)
        change = Finding(f"the database is not as it should be: {changes}", "run: ibfeed clickhouse apply")
        return [change, *_data(layout, seen)]
    return [*_consumers(seen, categories), *_data(layout, seen)]


def _consumers(seen: Observation, categories: Sequence[str]) -> Iterator[Finding]:
    by_table = {one.table: one for one in seen.consumers}
    for category in categories:
        table = f"{category}_queue"
        consumer = by_table.get(table)
        recent = [text for age, text in consumer.exceptions if age < RECENT_S] if consumer else []
        if recent:
            yield Finding(f"{table}: {recent[-1]}", "mend what ClickHouse names; it tries again by itself")
        elif consumer is None or not consumer.partitions:
            yield Finding(
                f"{table} reads no partition",
                "wait 10 s after a start; then look whether the topic exists, and whether ClickHouse reaches Kafka",
            )


def _data(layout: Layout, seen: Observation) -> Iterator[Finding]:
    if seen.reach_error:
        yield Finding(f"the lag is not known: {seen.reach_error}", "run this where Kafka can be reached")
    elif seen.lag is not None and seen.lag > MOST_LAG:
        yield Finding(f"{seen.lag} records are not written yet", "wait; if it does not fall, look at ClickHouse's load")
    if seen.rejected:
        last = "; ".join(seen.problems)
        table = f"{sql.name(layout.database)}.`rejected`"
        yield Finding(
            f"{seen.rejected} records could not be stored: {last}", f"see SELECT * FROM {table} ORDER BY inserted_time"
        )
