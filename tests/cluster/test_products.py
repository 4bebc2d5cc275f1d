"""Roots with several products on the real cluster, and what readers learn of each contract from topic ``contracts``."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support.cluster import ROOT, condition, eventually, kubectl, read
from support.contracts_table import contracts_table
from support.stream import Tap, topic_exists

FEED = "products"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def feed() -> Iterator[None]:
    """One that asks for silver, of which IB lists two products, beside crude oil."""
    remove_all_feeds()
    found = yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text())
    found["metadata"]["name"] = FEED
    found["spec"] |= {"roots": [{"symbol": "CL"}, {"symbol": "SI"}], "frontMonths": 2, "workers": 1}
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(found))
    yield
    remove_all_feeds()


def contracts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read("ibfeed", FEED, NAMESPACE)["status"].get("contracts", [])
    return found


def ask_for(*roots: dict[str, Any]) -> None:
    kubectl("patch", "ibf", FEED, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": {"roots": roots}}))


def streamed(conids: set[int], within: float = 60) -> None:
    with Tap() as tap:
        moment = time.time()
        eventually(
            lambda: len(tap.first_after(list(conids), moment)) == len(conids), within=within, what=f"ticks of {conids}"
        )


def test_an_ambiguous_root_is_refused_in_lines_to_write() -> None:
    def refused() -> dict[str, Any] | None:
        found = condition(read("ibfeed", FEED, NAMESPACE), "UniverseResolved")
        return found if found and found["reason"] == "AmbiguousRoot" else None

    message = eventually(refused, within=180, what="the products of SI are named")["message"]
    assert "IB lists 2 products of SI: " in message
    assert "COMEX SI 5000 USD (" in message
    lines = sorted((yaml.safe_load(line) for line in re.findall(r"\{[^}]*\}", message)), key=str)
    assert lines == [{"symbol": "SI", "tradingClass": "SI"}, {"symbol": "SI", "tradingClass": "SIL"}]
    eventually(lambda: [c["root"] for c in contracts()] == ["CL"] * 2, within=60, what="CL has its months")
    streamed({c["conid"] for c in contracts()})
    ask_for({"symbol": "CL"}, *lines)
    wait_ready(FEED)
    eventually(lambda: len(contracts()) == 6, within=60, what="two months of each product")


def test_each_product_streams_its_months_under_its_name() -> None:
    found = contracts()
    assert Counter((c["root"], c["tradingClass"], c["multiplier"]) for c in found) == {
        ("CL", "CL", "1000"): 2,
        ("SI", "SI", "5000"): 2,
        ("SI", "SIL", "1000"): 2,
    }
    assert len({c["symbol"] for c in found}) == 6
    assert all(re.fullmatch(rf"{c['tradingClass']}[FGHJKMNQUVXZ]\d", c["symbol"]) for c in found)
    with Tap() as tap:
        moment = time.time()
        conids = {c["conid"]: c["symbol"] for c in found}
        eventually(lambda: len(tap.first_after(list(conids), moment)) == 6, within=60, what="ticks of all six")
    for conid, records in tap.by_contract().items():
        assert {(r.value["symbol"], r.headers["schema"]) for r in records} == {(conids[conid], "ticklast/2")}


def test_the_table_tells_of_each_contract() -> None:
    of_status = {c["conid"]: c for c in contracts()}

    eventually(lambda: topic_exists("contracts"), within=60, what="topic contracts is there")

    def complete() -> dict[int, dict[str, Any]] | None:
        found = {conid: row for conid, row in contracts_table().items() if row["feed"] == FEED}
        known = all(row["min_price_increment"] and row["trading_hours"] and row["timeliness"] for row in found.values())
        return found if found.keys() >= of_status.keys() and known else None

    table = eventually(complete, within=120, what="a whole record of each contract")
    schema = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas" / "contracts-1.json").read_text()))
    for conid, known in of_status.items():
        row = table[conid]
        schema.validate(row)
        for name, of_row in (
            ("symbol", row["symbol"]),
            ("root", row["root"]),
            ("exchange", row["exchange"]),
            ("tradingClass", row["trading_class"]),
            ("multiplier", f"{row['multiplier']:g}"),
            ("currency", row["currency"]),
            ("contractMonth", row["contract_month"]),
            ("lastTradingDay", row["last_trading_day"]),
            ("slot", row["slot"]),
        ):
            assert known[name] == of_row, (name, row)
        assert row["timeliness"] == "real_time"
        now = time.time() * 1000
        assert any(closing > now for _, closing in row["trading_hours"])
    steps = {row["trading_class"]: row["min_price_increment"] for row in table.values() if row["root"] in {"CL", "SI"}}
    assert steps == {"CL": 0.01, "SI": 0.005, "SIL": 0.005}
