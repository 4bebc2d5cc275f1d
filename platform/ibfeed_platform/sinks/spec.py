"""The settings of a sink's process, from a variable and from Secrets that are mounted as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ibfeed import SchemaRegistry, Topics
from ibfeed_api.feed import RecordFormat
from ibfeed_api.sink import (
    DESTINATION_CA_FOLDER,
    DESTINATION_FOLDER,
    EXTRA_CA_FOLDER,
    KAFKA_CA_FOLDER,
    KAFKA_FOLDER,
    REGISTRY_FOLDER,
    SETTINGS_VARIABLE,
    SINK_PORT,
    ClickHouseDestination,
    ComputationDestination,
    RedisDestination,
    SinkSettings,
)
from ibfeed_platform.sinks.kafka_access import consumer_config, secret_text
from ibfeed_platform.sinks.progress import Processor, SinkError
from ibfeed_platform.sinks.redis_settings import RedisSettings
from ibfeed_platform.sinks.source import KafkaSource

# The partitions of a pod that dies go to the others after 10 s, and not after the library's 45.
_OF_A_GROUP: Final = {
    "session.timeout.ms": "10000",
    "heartbeat.interval.ms": "2000",
    "reconnect.backoff.max.ms": "3000",
}


class EnvironmentRefusedError(Exception):
    """The environment can't be used. The text says which variable is wrong, and why."""


@dataclass(frozen=True)
class SinkEnvironment:
    """The process' environment, checked.

    Args:
        root: the folder under which the Secrets' folders are; ``/`` in a pod.
    """

    pod: str
    namespace: str
    settings: SinkSettings
    port: int = SINK_PORT
    root: Path = field(default=Path("/"))

    def keys(self, folder: str) -> dict[str, bytes]:
        """Return the keys of a mounted Secret; none if it does not exist."""
        where = self.root / folder.lstrip("/")
        if not where.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in where.iterdir() if path.is_file()}

    def path(self, folder: str, key: str) -> Path:
        return self.root / folder.lstrip("/") / key


def read_environment(environment: Mapping[str, str]) -> SinkEnvironment:
    """Read and check the environment. Raises EnvironmentRefusedError."""
    for name in ("POD_NAME", "POD_NAMESPACE", SETTINGS_VARIABLE):
        if not environment.get(name):
            raise EnvironmentRefusedError(f"environment variable {name} is not set; the operator's Deployment sets it")
    try:
        settings = msgspec.json.decode(environment[SETTINGS_VARIABLE], type=SinkSettings)
    except msgspec.DecodeError as error:
        raise EnvironmentRefusedError(f"{SETTINGS_VARIABLE} does not describe a sink: {error}") from None
    return SinkEnvironment(
        pod=environment["POD_NAME"],
        namespace=environment["POD_NAMESPACE"],
        settings=settings,
        port=int(environment.get("IBFEED_HTTP_PORT", SINK_PORT)),
        root=Path(environment.get("IBFEED_FILES", "/")),
    )


def kafka_source(given: SinkEnvironment) -> KafkaSource:
    """Return where the records are, with the credentials that the Secrets hold now. Raises SinkError."""
    settings, kafka = given.settings, given.settings.kafka
    trusted = ""
    if settings.extra_ca is not None and kafka.oauth is not None:
        private = secret_text(given.keys(EXTRA_CA_FOLDER), settings.extra_ca.name, settings.extra_ca.key)
        trusted = f"{Path(DEFAULT_CA_BUNDLE_PATH).read_text()}\n{private}"
    return KafkaSource(
        servers=kafka.bootstrap_servers,
        feed=settings.spec.feed_ref.name,
        topics=Topics(
            ticks=kafka.topics.ticklast.name,
            books=kafka.topics.l2_data.name,
            events=kafka.topics.feed_events.name,
            contracts=kafka.topics.contracts.name,
        ),
        group=settings.group,
        config=_OF_A_GROUP
        | consumer_config(kafka, given.keys(KAFKA_FOLDER), given.keys(KAFKA_CA_FOLDER), trusted)
        | {"client.id": given.pod},
        registry=_registry(given),
        avro=kafka.format is RecordFormat.AVRO,
    )


def _registry(given: SinkEnvironment) -> SchemaRegistry | None:
    """Return the feed's schema registry, with the credentials that its Secret holds now. Raises SinkError."""
    named = given.settings.kafka.schema_registry
    if named is None:
        return None
    if named.secret_ref is None:
        return SchemaRegistry(named.url)
    keys, secret = given.keys(REGISTRY_FOLDER), named.secret_ref.name
    if not keys.keys() & {"username", "ca.crt"}:
        raise SinkError(
            f"Secret {secret} of kafka.schemaRegistry.secretRef is not there, or has neither username nor ca.crt:"
            " create it in the sink's namespace"
        )
    protected, private = "username" in keys, "ca.crt" in keys
    if private:
        secret_text(keys, secret, "ca.crt")
    return SchemaRegistry(
        named.url,
        username=secret_text(keys, secret, "username") if protected else "",
        password=secret_text(keys, secret, "password") if protected else "",
        ca=str(given.path(REGISTRY_FOLDER, "ca.crt")) if private else "",
    )


def make_processor(given: SinkEnvironment) -> Processor:
    """Return the sink's processor, with the credentials that the Secrets hold now. Raises SinkError.

    Only what this destination needs is imported: a sink to Redis needs no database engine.
    """
    spec, source = given.settings.spec, kafka_source(given)
    if spec.redis is not None:
        from ibfeed_platform.sinks.redis import RedisSink

        return RedisSink(redis_settings(given, spec.redis), source)
    if spec.clickhouse is not None:
        return _clickhouse_sink(given, spec.clickhouse, source)
    if spec.computation is not None:
        return _computation_sink(given, spec.computation, source)
    raise SinkError("spec names no destination that this image knows: update the image")


def redis_settings(given: SinkEnvironment, redis: RedisDestination) -> RedisSettings:
    """Return the settings of a Redis, with its user's password. Raises SinkError."""
    ca = redis.ca_secret_ref
    if ca is not None:
        secret_text(given.keys(DESTINATION_CA_FOLDER), ca.name, ca.key)
    return RedisSettings(
        url=redis.url,
        user=redis.user,
        password=_password(given),
        prefix=redis.prefix,
        expiry_s=redis.expiry_seconds,
        ca_file=str(given.path(DESTINATION_CA_FOLDER, ca.key)) if ca is not None else None,
    )


def _clickhouse_sink(given: SinkEnvironment, clickhouse: ClickHouseDestination, source: KafkaSource) -> Processor:
    from ibfeed_platform.sinks.clickhouse import ClickHouseSettings, ClickHouseSink

    settings = ClickHouseSettings(
        url=clickhouse.url,
        database=clickhouse.database,
        user=clickhouse.user,
        password=_password(given) or "",
        ttl_days=clickhouse.ttl_days,
        collection=clickhouse.named_collection or "",
    )
    return ClickHouseSink(settings, source)


def _computation_sink(given: SinkEnvironment, computation: ComputationDestination, source: KafkaSource) -> Processor:
    from ibfeed_platform.sinks.computation import ComputationSettings, ComputationSink

    settings = ComputationSettings(
        redis=redis_settings(given, computation.redis),
        team=computation.team,
        name=computation.name,
        sql=computation.sql,
        window_s=computation.window_seconds,
    )
    return ComputationSink(settings, source)


def _password(given: SinkEnvironment) -> str | None:
    secret = given.settings.spec.password_secret
    return None if secret is None else secret_text(given.keys(DESTINATION_FOLDER), secret.name, secret.key)
