"""What a sink's process makes of its environment and of the Secrets that are mounted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ibfeed_api.sink import SETTINGS_VARIABLE, SinkSettings
from ibfeed_platform.sinks import clickhouse
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.sinks.redis import RedisSink
from ibfeed_platform.sinks.redis_settings import RedisSettings
from ibfeed_platform.sinks.spec import (
    EnvironmentRefusedError,
    SinkEnvironment,
    kafka_source,
    make_processor,
    read_environment,
    redis_settings,
)

KAFKA = {"bootstrapServers": "kafka:9092", "topics": {"ticklast": {"name": "ticks"}}}
REDIS = {"url": "redis://redis:6379", "user": "writer", "passwordSecretRef": {"name": "redis", "key": "writer"}}


def settings(kafka: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "sink": "latest",
        "group": "ibfeed-sink-markets-latest",
        "spec": {"feedRef": {"name": "energy"}} | (spec or {"redis": REDIS}),
        "kafka": kafka or KAFKA,
    }


def given(root: Path, described: dict[str, Any] | None = None, **files: str) -> SinkEnvironment:
    """The environment, with files as folder__key of the Secrets' folders."""
    for name, text in files.items():
        folder, key = name.split("__")
        where = root / "etc" / "ibfeed" / folder.replace("_", "-")
        where.mkdir(parents=True, exist_ok=True)
        (where / key.replace("_", ".")).write_text(text)
    return SinkEnvironment(
        pod="latest-sink-a",
        namespace="markets",
        settings=msgspec.convert(described or settings(), SinkSettings),
        root=root,
    )


def test_the_environment_is_read() -> None:
    found = read_environment(
        {"POD_NAME": "p", "POD_NAMESPACE": "n", SETTINGS_VARIABLE: json.dumps(settings()), "IBFEED_HTTP_PORT": "81"}
    )
    assert (found.pod, found.namespace, found.port) == ("p", "n", 81)
    assert found.settings.spec.redis is not None
    assert found.root == Path("/")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "POD_NAME is not set"),
        ({"POD_NAME": "p", "POD_NAMESPACE": "n"}, f"{SETTINGS_VARIABLE} is not set"),
        ({"POD_NAME": "p", "POD_NAMESPACE": "n", SETTINGS_VARIABLE: "{}"}, "does not describe a sink"),
    ],
)
def test_an_environment_that_lacks_something_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(EnvironmentRefusedError, match=says):
        read_environment(environment)


def test_the_source_is_the_feed_s_topics_and_the_sink_s_group(tmp_path: Path) -> None:
    source = kafka_source(given(tmp_path))
    assert (source.servers, source.feed, source.group) == ("kafka:9092", "energy", "ibfeed-sink-markets-latest")
    assert (source.topics.ticks, source.topics.books) == ("ticks", "l2-data")
    assert source.config["client.id"] == "latest-sink-a"


REGISTRY = {"url": "https://registry:8081", "secretRef": {"name": "registry"}}


def avro(**registry: Any) -> dict[str, Any]:
    return settings(KAFKA | {"format": "Avro", "schemaRegistry": REGISTRY | registry})


def test_the_schema_registry_gets_its_user_and_its_ca(tmp_path: Path) -> None:
    secret = {"username": "team", "password": "hidden", "ca_crt": "PEM"}
    files = {f"schema_registry__{key}": text for key, text in secret.items()}
    source = kafka_source(given(tmp_path, avro(), **files))
    assert source.avro
    found = source.registry
    assert found is not None
    assert (found.url, found.username, found.password) == ("https://registry:8081", "team", "hidden")
    assert Path(found.ca).read_text() == "PEM"
    assert "hidden" not in repr(source)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "Secret registry of kafka.schemaRegistry.secretRef is not there"),
        ({"schema_registry__username": "team"}, "Secret registry has no password"),
        ({"schema_registry__ca_crt": " "}, "Secret registry has no ca.crt"),
    ],
)
def test_a_schema_registry_s_secret_that_lacks_something_is_named(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    with pytest.raises(SinkError, match=says):
        kafka_source(given(tmp_path, avro(), **files))


def test_a_registry_is_named_without_a_secret_or_not_at_all(tmp_path: Path) -> None:
    assert kafka_source(given(tmp_path)).registry is None
    source = kafka_source(given(tmp_path, avro(secretRef=None)))
    assert source.registry is not None
    assert (source.registry.username, source.registry.ca) == ("", "")


def test_a_private_ca_of_the_token_endpoint_is_trusted(tmp_path: Path) -> None:
    oauth = {
        "bootstrapServers": "kafka:9093",
        "securityProtocol": "SASL_SSL",
        "saslMechanism": "OAUTHBEARER",
        "secretRef": {"name": "user"},
        "oauth": {"tokenEndpoint": "https://id/token"},
    }
    described = settings(oauth) | {"extraCA": {"name": "ca"}}
    files = {"kafka__client-id": "me", "kafka__client-secret": "hidden", "extra_ca__ca_crt": "PRIVATE"}
    trusted = kafka_source(given(tmp_path, described, **files)).config["https.ca.pem"]
    assert trusted.endswith("PRIVATE")
    assert "BEGIN CERTIFICATE" in trusted


def test_redis_gets_its_password_and_its_ca(tmp_path: Path) -> None:
    tls = REDIS | {"url": "rediss://redis:6379", "caSecretRef": {"name": "redis-ca"}}
    it = given(tmp_path, settings(redis=tls), destination__writer="hidden", destination_ca__ca_crt="PEM")
    assert isinstance(make_processor(it), RedisSink)
    assert it.settings.spec.redis is not None
    found = redis_settings(it, it.settings.spec.redis)
    assert (found.user, found.password, found.prefix, found.expiry_s) == ("writer", "hidden", "ibfeed", 300)
    assert found.ca_file is not None
    assert Path(found.ca_file).read_text() == "PEM"


class Kept:
    """A processor that keeps what it is made of."""

    def __init__(self, settings: Any, source: Any) -> None:
        self.settings, self.source = settings, source


def test_clickhouse_gets_what_its_spec_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clickhouse, "ClickHouseSink", Kept)
    asked = {"ttlDays": 2, "namedCollection": "kafka", "passwordSecretRef": {"name": "clickhouse"}}
    described = settings(clickhouse={"url": "http://clickhouse:8123"} | asked)
    made: Any = make_processor(given(tmp_path, described, destination__password="hidden"))
    assert made.settings == clickhouse.ClickHouseSettings(
        url="http://clickhouse:8123",
        database="ibfeed",
        user="default",
        password="hidden",
        ttl_days=2,
        collection="kafka",
    )


def test_a_computation_gets_what_its_spec_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computation = pytest.importorskip("ibfeed_platform.sinks.computation")
    monkeypatch.setattr(computation, "ComputationSink", Kept)
    asked = {"team": "desk", "name": "rolling_vwap", "windowSeconds": 60, "redis": {"url": "redis://redis:6379"}}
    made: Any = make_processor(given(tmp_path, settings(computation=asked)))
    assert made.settings == computation.ComputationSettings(
        redis=RedisSettings(url="redis://redis:6379", expiry_s=300), team="desk", name="rolling_vwap", window_s=60
    )


def test_a_destination_of_a_later_version_is_refused(tmp_path: Path) -> None:
    it = given(tmp_path, settings(suspend=True))
    with pytest.raises(SinkError, match="update the image"):
        make_processor(it)


def test_a_password_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Secret redis does not exist, or is empty: create it"):
        make_processor(given(tmp_path))


def test_a_ca_that_is_missing_is_named(tmp_path: Path) -> None:
    described = settings(redis={"url": "rediss://redis:6379", "caSecretRef": {"name": "redis-ca"}})
    with pytest.raises(SinkError, match="Secret redis-ca does not exist"):
        make_processor(given(tmp_path, described))


def test_nothing_that_is_shown_holds_a_secret(tmp_path: Path) -> None:
    kafka = KAFKA | {
        "securityProtocol": "SASL_PLAINTEXT", "saslMechanism": "PLAIN", "secretRef": {"name": "user"},
    }  # fmt: skip
    it = given(tmp_path, settings(kafka), kafka__username="reader", kafka__password="hidden")
    assert "hidden" not in repr(kafka_source(it))
