"""The settings of the Spark job. Spark shows arguments to everybody, so passwords come from its surroundings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ibfeed import SchemaRegistry
from ibfeed.stream import Topics
from ibfeed_platform.sinks.redis_settings import RedisSettings

# The variables that hold passwords, on the driver and on each executor.
PASSWORD: Final = "REDIS_PASSWORD"
REGISTRY_PASSWORD: Final = "SCHEMA_REGISTRY_PASSWORD"


class SettingsError(ValueError):
    """The job cannot run with these settings. The text says the cause and what to do, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the driver.

    Args:
        feed: name of the IbFeed.
        servers: Kafka's bootstrap servers.
        properties: further properties of Kafka's Java client. They may hold secrets, so they are not shown.
        redis: where the hot store is, without the password: each executor takes it from its surroundings.
        checkpoint: a folder, or a URL of a store, in which Spark keeps how far it came. All executors and each next
            driver must reach it.
        trigger_ms: from the begin of one batch to the begin of the next; a longer batch is followed at once.
        max_records: of one batch.
        registry: the schema registry of a feed that writes Avro, without the password; None: it writes JSON.
    """

    feed: str
    servers: str
    topics: Topics
    redis: RedisSettings
    checkpoint: str
    trigger_ms: int
    max_records: int
    properties: Mapping[str, str] = field(default_factory=dict, repr=False)
    registry: SchemaRegistry | None = None

    def stream_options(self, now_ms: int) -> dict[str, str]:
        """Return the options of the stream. The first start reads what has not expired by ``now_ms``."""
        tables = [] if self.topics.contracts is None else [self.topics.contracts]
        return {**self._window([*self.topics.streams, *tables], now_ms), "maxOffsetsPerTrigger": str(self.max_records)}

    def window_options(self, now_ms: int) -> dict[str, str]:
        """Return the options by which all is read that has not expired by ``now_ms``."""
        return {**self._window(self.topics.streams, now_ms), "endingOffsets": "latest"}

    def table_options(self) -> dict[str, str] | None:
        """Return the options by which topic ``contracts`` is read as a whole; None: the feed has no such topic."""
        return None if self.topics.contracts is None else self._source([self.topics.contracts])

    def _window(self, topics: Sequence[str], now_ms: int) -> dict[str, str]:
        since = now_ms - int(self.redis.expiry_s * 1000)
        # A partition that has nothing so new is read from its end on.
        return {
            **self._source(topics),
            "startingTimestamp": str(since),
            "startingOffsetsByTimestampStrategy": "latest",
        }

    def _source(self, topics: Sequence[str]) -> dict[str, str]:
        told = {f"kafka.{name}": value for name, value in self.properties.items()}
        return {
            "kafka.fetch.max.wait.ms": "50",  # a batch waits so long for each partition, and 500 is the default
            **told,
            "kafka.bootstrap.servers": self.servers,
            "groupIdPrefix": f"ibfeed-spark-{self.feed}",  # a Kafka with ACLs grants rights by it
            "subscribe": ",".join(topics),
            "includeHeaders": "true",
            # Values that Kafka has deleted were too old for the hot store anyway: the job goes on, and tells them.
            "failOnDataLoss": "false",
        }


def parse(arguments: Sequence[str], properties: str = "") -> Settings:
    """Return the settings of the job's arguments and the text of the file of Kafka's properties.

    Raises SettingsError, or SinkError for a URL that is none. An argument that is missing or unknown ends the process,
    with a text, as argparse does.
    """
    told = parser().parse_args(arguments)
    redis = RedisSettings(told.redis, told.redis_user, None, told.prefix, told.expiry_s, told.redis_ca)
    redis.client().close()  # it tells a URL that is none, or holds a password
    return Settings(
        feed=told.feed,
        servers=told.kafka,
        topics=Topics(
            told.ticks_topic or None, told.books_topic or None, told.events_topic or None, told.contracts_topic or None
        ),
        redis=redis,
        checkpoint=told.checkpoint,
        trigger_ms=told.trigger_ms,
        max_records=told.max_records,
        properties=read_properties(properties),
        registry=_registry(told.schema_registry, told.schema_registry_user, told.schema_registry_ca),
    )


def _registry(url: str | None, user: str | None, ca: str | None) -> SchemaRegistry | None:
    if url is None:
        return None
    if urlsplit(url).password is not None:
        raise SettingsError(f"the schema registry's URL holds a password: give it by {REGISTRY_PASSWORD}")
    return SchemaRegistry(url, user or "", ca=ca or "")


def read_properties(text: str) -> dict[str, str]:
    """Return the properties of a Java properties file: lines of ``name=value``, empty ones, and comments by ``#``.

    Raises SettingsError.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    told = [(number, *line.partition("=")) for number, line in lines if line and not line.startswith("#")]
    if wrong := [number for number, name, sign, _ in told if not sign or not name.strip()]:
        raise SettingsError(f"line {wrong[0]} of Kafka's properties is no `name=value`: correct the file")
    return {name.strip(): value.strip() for _, name, _, value in told}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the job's arguments."""
    names = Topics()
    found = argparse.ArgumentParser(prog="hot-store", description="A feed's latest values, from Kafka to Redis.")
    found.add_argument("--kafka", required=True, help="bootstrap servers, such as kafka:9092")
    found.add_argument("--kafka-properties", help="file with further properties of Kafka's Java client")
    found.add_argument("--feed", required=True, help="name of the IbFeed")
    found.add_argument("--redis", required=True, help="redis://HOST:PORT/0, or rediss:// for TLS")
    found.add_argument("--redis-user", help=f"its password is in the variable {PASSWORD}")
    found.add_argument("--redis-ca", help="file of the certificates that vouch for Redis")
    found.add_argument("--schema-registry", help="URL of the schema registry of a feed that writes Avro")
    found.add_argument("--schema-registry-user", help=f"its password is in the variable {REGISTRY_PASSWORD}")
    found.add_argument("--schema-registry-ca", help="file of the CA of its certificate, on driver and executors")
    found.add_argument("--checkpoint", required=True, help="folder or URL; each start goes on where it says")
    found.add_argument("--prefix", default="ibfeed", help="what all keys begin with (%(default)s)")
    found.add_argument("--expiry-s", type=float, default=300.0, help="a value's life after its event (%(default)s)")
    found.add_argument("--trigger-ms", type=int, default=200, help="between the begins of batches (%(default)s)")
    found.add_argument("--max-records", type=int, default=100_000, help="of one batch (%(default)s)")
    found.add_argument("--ticks-topic", default=names.ticks, help="empty: not read (%(default)s)")
    found.add_argument("--books-topic", default=names.books, help="(%(default)s)")
    found.add_argument("--events-topic", default=names.events, help="(%(default)s)")
    found.add_argument("--contracts-topic", default=names.contracts, help="(%(default)s)")
    return found
