"""Every stream's schema is a subset of a category, and a stream that is not would be found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ibfeed_api.records import TOPIC_CONTRACTS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_TICKS
from ibfeed_platform.categories.source import Category
from ibfeed_platform.categories.subset import uncovered
from support.categories import BY_TOPIC, NEWEST, ROOT

STREAMS = sorted((ROOT / "schemas").glob("*.json"))


def schema_of(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.json").read_text())
    return schema


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_every_stream_is_a_subset_of_a_category(path: Any) -> None:
    topic, _, version = path.stem.rpartition("-")
    category = BY_TOPIC[topic]
    assert int(version) in category.stream(topic).versions
    assert uncovered(schema_of(path.stem), category, topic) == []


@pytest.mark.parametrize("category", NEWEST.values(), ids=lambda category: category.name)
def test_every_stream_of_a_category_has_a_schema(category: Category) -> None:
    named = {f"{stream.topic}-{version}" for stream in category.streams for version in stream.versions}
    assert named <= {path.stem for path in STREAMS}


Change = Callable[[dict[str, Any]], Any]


def property_of(key: str, **described: Any) -> Change:
    return lambda schema: schema["properties"][key].update(described)


def optional(key: str) -> Change:
    return lambda schema: schema["required"].remove(key)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("ticklast-2", lambda s: s["properties"].update(yield_={"type": "number"}), "yield_ has no canonical field"),
        ("ticklast-2", lambda s: s["properties"].pop("volume"), "volume is told by the category, and is no key"),
        ("ticklast-2", property_of("price", type="string"), "price does not fit into decimal of price"),
        ("ticklast-2", property_of("seq", type="number"), "seq does not fit into int64"),
        ("ticklast-2", property_of("seq", type=["integer", "string"]), "seq does not fit into int64"),
        ("ticklast-2", property_of("symbol", type="boolean"), "symbol does not fit into string"),
        ("ticklast-2", property_of("flags", items={"type": "integer"}), "flags does not fit into list<string>"),
        ("ticklast-2", property_of("price", type=["number", "null"]), "price may have no value"),
        ("ticklast-2", optional("price"), "price may have no value, and price always has one"),
        ("ticklast-2", optional("bid"), "bid may be null or absent, and a row does not tell which"),
        ("feed-events-2", lambda s: s["required"].append("detail"), "detail is required, and the category says other"),
        ("feed-events-2", property_of("kind", enum=["gap", 7]), "kind does not fit into string"),
        ("contracts-1", property_of("trading_hours", items={"type": "integer"}), "trading_hours does not fit into"),
        (
            "contracts-1",
            lambda s: s["properties"]["trading_hours"]["items"].update(minItems=1),
            "trading_hours does not fit into list<span>",
        ),
        (
            "l2-data-2",
            lambda s: s["properties"]["bids"]["items"]["prefixItems"].append({"type": "integer"}),
            "bids is no list of [price, size]",
        ),
        ("l2-data-2", lambda s: s["properties"]["asks"]["items"].update(items=True), "asks is no list of"),
    ],
)
def test_stream_that_does_not_fit_is_found(name: str, change: Change, problem: str) -> None:
    schema = copy.deepcopy(schema_of(name))
    change(schema)
    topic = name.rpartition("-")[0]
    assert any(line.startswith(problem) for line in uncovered(schema, BY_TOPIC[topic], topic))


@pytest.mark.parametrize("topic", [TOPIC_TICKS, TOPIC_DEPTH, TOPIC_EVENTS, TOPIC_CONTRACTS])
def test_field_that_always_has_a_value_must_be_told(topic: str) -> None:
    category = BY_TOPIC[topic]
    stream = category.stream(topic)
    silent = replace(category, streams=[replace(stream, constants={})])
    path = next(path for path in STREAMS if path.stem.rpartition("-")[0] == topic)
    problems = uncovered(schema_of(path.stem), silent, topic)
    assert problems == ["source_system always has a value, and no key of the stream tells it"]
