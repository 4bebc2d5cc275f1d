"""The roles name what may be read, and nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

from ibfeed import Topics
from ibfeed.clickhouse import Layout, roles
from ibfeed.clickhouse.objects import Kind
from ibfeed.clickhouse.schema import objects

LAYOUT = Layout("kafka:9092", database="desk")


def test_reader_may_read_all_rows_and_views_but_rejected_ones() -> None:
    readable = {one.name for one in objects(LAYOUT) if one.kind is not Kind.INGEST} - {"rejected"}
    assert set(roles.grants(LAYOUT)["desk_reader"]) == readable


def test_readers_of_ticks_see_no_books_and_the_other_way_round() -> None:
    grants = roles.grants(LAYOUT)
    assert not [name for name in grants["desk_ticks_reader"] if "book" in name]
    assert not [name for name in grants["desk_books_reader"] if "tick" in name]


def test_both_forms_grant_the_same_and_only_reading() -> None:
    statements = roles.statements(LAYOUT)
    root = ET.fromstring(roles.users_xml(LAYOUT))
    in_xml = {
        f"{query.text} TO `{role.tag}`" for role in root.findall("roles/*") for query in role.findall("grants/query")
    }
    assert in_xml == {one for one in statements if one.startswith("GRANT ")}
    assert all(one.startswith(("CREATE ROLE IF NOT EXISTS `desk_", "GRANT SELECT ON `desk`.`")) for one in statements)


def test_tables_that_are_not_there_are_not_granted() -> None:
    fewer = roles.grants(replace(LAYOUT, topics=Topics(books=None)))
    assert set(fewer["desk_books_reader"]) < set(fewer["desk_ticks_reader"])
