"""A new version of a category may add nullable fields and states, and no more."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ibfeed_platform.categories.compatibility import all_incompatibilities, incompatibilities
from ibfeed_platform.categories.source import Category, Dtype
from support.categories import ALL, NEWEST
from support.category_versions import grown

OLD = NEWEST["market_tick"]
NEW, _ = grown(OLD)


def with_field(name: str, /, **changes: Any) -> Category:
    fields = [replace(field, **changes) if field.name == name else field for field in NEW.fields]
    return replace(NEW, fields=fields)


def with_stream(**changes: Any) -> Category:
    return replace(NEW, streams=[replace(NEW.streams[0], **changes)])


def without(name: str) -> Category:
    return replace(NEW, fields=[field for field in NEW.fields if field.name != name])


def test_committed_versions_follow_each_other() -> None:
    assert all_incompatibilities(ALL) == []


@pytest.mark.parametrize("category", NEWEST.values(), ids=lambda category: category.name)
def test_nullable_fields_and_states_may_be_added(category: Category) -> None:
    assert incompatibilities(category, grown(category)[0]) == []


def test_meaning_and_order_may_change() -> None:
    reworded = [replace(field, meaning="The same in other words.") for field in reversed(NEW.fields)]
    assert incompatibilities(OLD, replace(NEW, fields=reworded)) == []


@pytest.mark.parametrize(
    ("new", "problem"),
    [
        pytest.param(without("volume"), "volume is gone", id="removed"),
        pytest.param(with_field("price", name="last"), "id 4 was price, and is now last", id="renamed"),
        pytest.param(
            with_field("price", dtype=Dtype.STRING), "price had dtype decimal, and has now string", id="retyped"
        ),
        pytest.param(with_field("price", id=99), "price had id 4, and has now 99", id="renumbered"),
        pytest.param(with_field("yield_spread", id=4), "id 4 was price, and is now yield_spread", id="id of another"),
        pytest.param(
            replace(without("volume"), fields=[*without("volume").fields[:-1], replace(NEW.fields[-1], id=13)]),
            "id 13 was volume, and is now yield_spread",
            id="id of a removed field",
        ),
        pytest.param(with_field("size", unit="lots"), "size had unit contracts, and has now lots", id="unit"),
        pytest.param(with_field("bid", nullable=False), "bid had nullable True, and has now False", id="never null"),
        pytest.param(
            with_field("price", nullable=True), "price had nullable False, and has now True", id="may be null"
        ),
        pytest.param(with_field("yield_spread", nullable=False), "so it must be nullable", id="new field never null"),
        pytest.param(
            with_field("price", states=[state for state in OLD.by_name["price"].states if state != "halted"]),
            "of these remain, in this order, live, delayed",
            id="state removed",
        ),
        pytest.param(
            with_field("price", states=[*reversed(OLD.by_name["price"].states)]),
            "of these remain, in this order, changed, snapshot",
            id="states in another order",
        ),
        pytest.param(replace(NEW, key=["seq"]), "and is now ['seq']", id="key"),
        pytest.param(
            replace(NEW, version=5), "version 5 of market_tick does not follow version 1", id="version left out"
        ),
        pytest.param(replace(NEW, streams=[]), "topic ticklast is gone", id="topic removed"),
        pytest.param(
            with_stream(keys=OLD.streams[0].keys | {"price": "bid", "bid": "price"}),
            "ticklast: price has another canonical field",
            id="key told otherwise",
        ),
        pytest.param(
            with_stream(constants={"source_system": "other"}),
            "source_system was always interactive_brokers",
            id="constant",
        ),
    ],
)
def test_change_that_readers_do_not_survive_is_found(new: Category, problem: str) -> None:
    assert any(problem in line for line in incompatibilities(OLD, new))


def test_each_version_is_held_to_the_one_before() -> None:
    third = replace(without("yield_spread"), version=3)
    found = all_incompatibilities([third, OLD, NEW, NEWEST["bar"]])
    assert found == ["market_tick-3: yield_spread is gone"]
