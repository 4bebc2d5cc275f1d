"""``ibfeed clickhouse`` as far as it needs no server."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ibfeed.cli.clickhouse import table
from ibfeed.cli.main import app
from ibfeed.clickhouse import Layout, LayoutError, Observation, ddl, roles
from ibfeed.clickhouse.health import Reach, Rows


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["clickhouse", "--kafka", "kafka:9092", *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_ddl_is_that_of_the_package() -> None:
    assert run("--feed", "energy", "--ttl-days", "3", "ddl") == ddl(Layout("kafka:9092", feed="energy", ttl_days=3))


def test_feed_in_avro_is_read_by_its_registry() -> None:
    text = run("--schema-registry", "http://registry:8081", "ddl")
    assert text == ddl(Layout("kafka:9092", registry="http://registry:8081"))
    assert text.count("kafka_format = 'AvroConfluent'") == 4


def test_topic_that_is_empty_is_not_read() -> None:
    assert "order_book" not in run("--books", "", "ddl")


def test_roles_come_in_both_forms() -> None:
    layout = Layout("kafka:9092")
    assert run("ddl", "--roles", "users.xml") == roles.users_xml(layout)
    assert run("ddl", "--roles", "sql").splitlines() == [f"{one};" for one in roles.statements(layout)]


def test_values_that_cannot_be_carried_out_are_refused() -> None:
    done = CliRunner().invoke(app, ["clickhouse", "--kafka", "kafka:9092", "--ttl-days", "91", "ddl"])
    assert isinstance(done.exception, LayoutError)


def test_no_command_takes_a_password() -> None:
    for command in ("ddl", "apply", "check"):
        done = CliRunner().invoke(app, ["clickhouse", "--kafka", "kafka:9092", command, "--help"])
        assert "--password" not in done.output


def test_table_shows_rows_age_and_lag() -> None:
    seen = Observation(
        rows={"market_tick": Rows(5, 99_500), "order_book": Rows(0, None)}, reach={"ticklast": Reach(1, 4)}
    )
    lines = [line.split() for line in table(Layout("kafka:9092"), seen, 100.0)]
    assert lines == [
        ["category", "rows", "newest", "event", "lag"],
        ["contract", "?", "-", "?"],
        ["feed_event", "?", "-", "?"],
        ["market_tick", "5", "0.5", "s", "ago", "3"],
        ["order_book", "0", "-", "?"],
        ["rejected", "0"],
    ]


@pytest.mark.parametrize("command", ["ddl", "apply", "check"])
def test_kafka_must_be_named(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA", raising=False)
    assert CliRunner().invoke(app, ["clickhouse", command]).exit_code == 2
