"""A layout that ClickHouse cannot carry is refused at once."""

from __future__ import annotations

import pytest

from ibfeed import Topics
from ibfeed.clickhouse import IN_COLLECTION, Layout, LayoutError


@pytest.mark.parametrize("days", [0, -1, 91, 36_500])
def test_days_beyond_the_bounds_are_refused(days: int) -> None:
    with pytest.raises(LayoutError, match=f"kept for {days} days: give 1 to 90"):
        Layout("kafka:9092", ttl_days=days)


@pytest.mark.parametrize("name", ["servers", "database", "group"])
def test_empty_name_is_refused(name: str) -> None:
    values = {"servers": "kafka:9092", "database": "ibfeed", "group": "ibfeed", name: ""}
    with pytest.raises(LayoutError, match=f"{name} is empty"):
        Layout(values["servers"], values["database"], group=values["group"])


def test_contracts_are_needed_for_units() -> None:
    with pytest.raises(LayoutError, match="the topic of contracts is needed"):
        Layout("kafka:9092", topics=Topics(contracts=None))


def test_each_topic_has_a_group_of_its_own() -> None:
    layout = Layout("kafka:9092", group="desk")
    assert layout.group_of("market_tick") == "desk-market-tick"


@pytest.mark.parametrize(
    ("registry", "says"),
    [
        ("registry:8081", "must be like http://HOST:8081"),
        ("http://team:correct-horse@registry:8081", "holds a user or a password"),
        (IN_COLLECTION, "name the collection"),
    ],
)
def test_a_registry_that_clickhouse_cannot_be_given(registry: str, says: str) -> None:
    with pytest.raises(LayoutError, match=says) as caught:
        Layout("kafka:9092", registry=registry)
    assert "correct-horse" not in str(caught.value)
