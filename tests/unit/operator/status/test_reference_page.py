"""docs/reference/conditions.md names each condition, reason and state of the code, and none that is not there."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState, Session
from ibfeed_api.sink import SinkCondition, SinkReason, SinkState
from ibfeed_operator.model.types import UnassignedReason
from support.markdown import read, tables

ROOT = Path(__file__).resolve().parents[4]
TABLES = list(tables(read(ROOT / "docs" / "reference" / "conditions.md")))
CHECKS = ROOT / "operator" / "ibfeed_operator" / "status" / "checks"
MODULES = {  # Ready takes the reasons of all others
    Condition.UNIVERSE_RESOLVED: "universe",
    Condition.COVERED: "coverage",
    Condition.REBALANCING: "rebalancing",
    Condition.PLACEMENT_HONORED: "placement",
    Condition.STANDBYS_READY: "standbys",
    Condition.ACCOUNTS_AVAILABLE: "accounts",
    Condition.KAFKA_REACHABLE: "kafka",
    Condition.MARKET_DATA_LIVE: "market_data",
    Condition.SUSPENDED: "suspended",
}


def told(header: str) -> list[str]:
    """Return the names in the first column of all tables with this header."""
    return [row[0].strip("`") for table in TABLES if table[0][0] == header for row in table[1:]]


def told_of(condition: str, *, sink: bool = False) -> set[str]:
    """Return the reasons in a condition's row."""
    table = [table for table in TABLES if table[0][0] == "condition"][sink]
    row = next(row for row in table if row[0] == f"`{condition}`")
    return set(re.findall(r"`(\w+)`", row[2]))


@pytest.mark.parametrize(
    ("header", "kinds"),
    [
        ("condition", (Condition, SinkCondition)),
        ("reason", (Reason,)),
        ("why", (UnassignedReason,)),
        ("session", (Session,)),
        ("state of a contract", (ContractState,)),
        ("reason of a sink", (SinkReason,)),
        ("state of a sink's process", (SinkState,)),
    ],
)
def test_page_names_all_and_no_others(header: str, kinds: tuple[type[StrEnum], ...]) -> None:
    assert sorted(told(header)) == sorted(str(member) for kind in kinds for member in kind)


@pytest.mark.parametrize("condition", MODULES)
def test_condition_s_row_has_the_reasons_of_its_check(condition: Condition) -> None:
    names = re.findall(r"\bReason\.([A-Z_]+)", (CHECKS / f"{MODULES[condition]}.py").read_text())
    said = {Reason[name] for name in names}
    assert said
    assert said <= told_of(condition)


def test_each_condition_but_ready_has_a_check() -> None:
    assert {Condition.READY, *MODULES} == set(Condition)


def test_sink_s_rows_have_all_reasons() -> None:
    assert set().union(*(told_of(condition, sink=True) for condition in SinkCondition)) == set(SinkReason)
