"""The way from what is present to what is wanted, tried on a model of a database."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed import Topics
from ibfeed.clickhouse import ClickHouseRefusedError, Layout
from ibfeed.clickhouse.migration import Present, Step, plan
from ibfeed.clickhouse.objects import Kind, Object
from ibfeed.clickhouse.schema import objects

LAYOUT = Layout("kafka:9092")
LAYOUTS = [
    LAYOUT,
    replace(LAYOUT, ttl_days=3),
    replace(LAYOUT, feed="energy", topics=Topics(books=None)),
    replace(LAYOUT, collection="secured"),
]


def engine_of(one: Object) -> str:
    found = re.search(r"ENGINE = (\w+)", one.text)
    return found[1] if found else "View" if one.kind is Kind.VIEW else "MaterializedView"


def present_of(wanted: list[Object]) -> Present:
    return Present(
        {one.name: one.comment for one in wanted},
        {one.name: engine_of(one) for one in wanted},
        {one.name: {column.name: column.kind for column in one.columns} for one in wanted},
    )


def carried_out(steps: list[Step], layout: Layout, before: Present) -> Present:
    """The database after the steps."""
    comments, engines = dict(before.comments), dict(before.engines)
    columns = {name: dict(found) for name, found in before.columns.items()}
    by_text = {one.create: one for one in objects(layout)}
    for step in steps:
        if one := by_text.get(step.statement):
            assert one.name not in comments or one.kind is Kind.VIEW, f"{one.name} is there"
            comments[one.name], engines[one.name] = one.comment, engine_of(one)
            columns[one.name] = {column.name: column.kind for column in one.columns}
            continue
        found = re.match(r"(DROP TABLE IF EXISTS|ALTER TABLE|INSERT INTO) `\w+`.`(\w+)`", step.statement)
        assert found, step.statement
        verb, name = found.groups()
        assert name in comments
        if verb.startswith("DROP"):
            assert engines[name] in ("MaterializedView", "Kafka", "Null"), f"{name} holds rows"
            del comments[name], engines[name], columns[name]
        elif added := re.search(r"ADD COLUMN `(\w+)` (.+?) COMMENT", step.statement):
            columns[name][added[1]] = added[2]
        elif changed := re.search(r"MODIFY COMMENT '([^']+)'", step.statement):
            comments[name] = changed[1]
    return Present(comments, engines, columns)


def test_empty_database_gets_all_in_order() -> None:
    steps = plan(LAYOUT, objects(LAYOUT), Present())
    made = [step.statement for step in steps if not step.statement.startswith("INSERT")]
    ways = [one.create for one in objects(LAYOUT) if one.kind is Kind.INGEST]
    assert sorted(made) == sorted(one.create for one in objects(LAYOUT))
    assert made[-len(ways) :] == ways


def test_database_that_is_right_is_left_alone() -> None:
    assert plan(LAYOUT, objects(LAYOUT), present_of(objects(LAYOUT))) == []


@given(st.data(), st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS))
def test_any_part_of_a_former_database_is_completed(data: st.DataObject, former: Layout, layout: Layout) -> None:
    there = [one for one in objects(former) if data.draw(st.booleans(), one.name)]
    before = present_of(there)
    if "market_tick_rows" in before.columns and data.draw(st.booleans()):
        before.columns["market_tick_rows"].pop("volume_state")  # type: ignore[attr-defined]
    after = carried_out(plan(layout, objects(layout), before), layout, before)
    assert plan(layout, objects(layout), after) == []
    reading = {name for name, engine in after.engines.items() if engine in ("Kafka", "MaterializedView", "Null")}
    assert reading == {one.name for one in objects(layout) if one.kind is Kind.INGEST}
    assert {one.name for one in there if one.kind is Kind.STORE} <= after.comments.keys()


def test_reading_stops_before_anything_changes() -> None:
    steps = plan(replace(LAYOUT, ttl_days=3), objects(replace(LAYOUT, ttl_days=3)), present_of(objects(LAYOUT)))
    verbs = [step.statement.split()[0] for step in steps]
    assert verbs == sorted(verbs, key=["DROP", "ALTER", "CREATE"].index)
    assert all("_ingest`" in step.statement for step in steps[:4])
    assert not any("SYNC" in step.statement for step in steps)


def test_view_of_a_former_release_is_made_again() -> None:
    present = present_of(objects(LAYOUT))
    former = Present(dict(present.comments) | {"latest_book": "ibfeed 0"}, present.engines, present.columns)
    (step,) = plan(LAYOUT, objects(LAYOUT), former)
    assert step.told == "latest_book: made again"
    assert step.statement.startswith("CREATE OR REPLACE VIEW `ibfeed`.`latest_book`")


def test_table_of_others_is_refused() -> None:
    present = Present({"rejected": "mine"}, {"rejected": "MergeTree"}, {"rejected": {}})
    with pytest.raises(ClickHouseRefusedError, match="is there, and ibfeed did not make it: name another"):
        plan(LAYOUT, objects(LAYOUT), present)


def test_column_of_another_type_is_refused() -> None:
    present = present_of(objects(LAYOUT))
    present.columns["rejected"]["problem"] = "Int8"  # type: ignore[index]
    with pytest.raises(ClickHouseRefusedError, match=r"rejected\.problem is Int8, and should be String: name another"):
        plan(LAYOUT, objects(LAYOUT), present)


def test_columns_that_are_not_ours_stay() -> None:
    present = present_of(objects(LAYOUT))
    present.columns["rejected"]["note"] = "String"  # type: ignore[index]
    assert plan(LAYOUT, objects(LAYOUT), present) == []
