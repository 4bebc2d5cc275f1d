"""What the Spark job is told, and what it does not take."""

from __future__ import annotations

import pytest

import ibfeed
from ibfeed_platform.sinks.progress import SinkError
from ibfeed_platform.spark.settings import SettingsError, parse, read_properties

ARGUMENTS = ["--kafka", "kafka:9092", "--feed", "energy", "--redis", "redis://redis:6379/0", "--checkpoint", "/data"]


def test_job_starts_at_what_has_not_expired() -> None:
    options = parse([*ARGUMENTS, "--expiry-s", "60"]).stream_options(now_ms=1_000_000)
    assert options["startingTimestamp"] == "940000"
    assert options["subscribe"] == "ticklast,l2-data,feed-events,contracts"
    assert options["failOnDataLoss"] == "false"
    assert options["kafka.fetch.max.wait.ms"] == "50"


def test_registry_has_its_password_from_elsewhere() -> None:
    assert parse(ARGUMENTS).registry is None
    settings = parse([*ARGUMENTS, "--schema-registry", "https://registry", "--schema-registry-user", "team"])
    assert settings.registry == ibfeed.SchemaRegistry("https://registry", "team")
    with pytest.raises(SettingsError, match="holds a password: give it by SCHEMA_REGISTRY_PASSWORD") as caught:
        parse([*ARGUMENTS, "--schema-registry", "https://team:correct-horse@registry"])
    assert "correct-horse" not in str(caught.value)


def test_topic_with_empty_name_is_not_read() -> None:
    settings = parse([*ARGUMENTS, "--books-topic", "", "--contracts-topic", "", "--ticks-topic", "mine"])
    assert settings.topics == ibfeed.Topics("mine", None, "feed-events", None)
    assert settings.stream_options(0)["subscribe"] == "mine,feed-events"


def test_window_is_read_without_the_table() -> None:
    settings = parse([*ARGUMENTS, "--expiry-s", "60"])
    options = settings.window_options(now_ms=1_000_000)
    assert (options["startingTimestamp"], options["subscribe"]) == ("940000", "ticklast,l2-data,feed-events")
    assert settings.table_options() == {**(settings.table_options() or {}), "subscribe": "contracts"}
    assert parse([*ARGUMENTS, "--contracts-topic", ""]).table_options() is None


def test_kafka_properties_become_options_and_are_not_shown() -> None:
    settings = parse(ARGUMENTS, '# of the Secret\n\nsasl.jaas.config = Login required password="p=w";\n')
    assert settings.stream_options(0)["kafka.sasl.jaas.config"] == 'Login required password="p=w";'
    assert "p=w" not in repr(settings)


def test_password_in_the_url_is_refused_unseen() -> None:
    arguments = [word.replace("redis://", "redis://writer:hidden@") for word in ARGUMENTS]
    with pytest.raises(SinkError, match="password: give it apart") as refused:
        parse(arguments)
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("line", ["hidden", "=hidden"])
def test_line_that_is_no_property_is_told_by_number(line: str) -> None:
    with pytest.raises(SettingsError, match="line 2 of") as refused:
        read_properties(f"a=b\n{line}\n")
    assert "hidden" not in str(refused.value)
