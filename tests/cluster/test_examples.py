"""The examples that energy is not: real data with its order book, and accounts from a vault."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from decimal import Decimal

import pytest

from cluster.conftest import NAMESPACE, apply_example, remove_all_feeds, wait_ready
from support.cluster import ROOT, eventually, read
from support.stream import Tap, topic_exists

RECORDED = ROOT / "simulator" / "ibfeed_simulator" / "data" / "esh4_2023-12-25_trades.csv.gz"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    remove_all_feeds()
    yield
    remove_all_feeds()


def test_equity_streams_the_real_hour_and_its_book() -> None:
    with gzip.open(RECORDED, "rt") as lines:
        real = {Decimal(row["price"]) for row in csv.DictReader(lines)}
    apply_example("equity")
    conid = wait_ready("equity")["status"]["contracts"][0]["conid"]
    assert topic_exists("l2-data")
    with Tap("ticklast") as ticks, Tap("l2-data") as books:
        eventually(lambda: len(ticks.by_contract()[conid]) >= 5, within=60, what="ticks of ES")
        eventually(lambda: len(books.by_contract()[conid]) >= 5, within=60, what="the book of ES")
    assert {Decimal(str(record.value["price"])) for record in ticks.by_contract()[conid]} <= real
    assert {record.value["kind"] for record in books.by_contract()[conid]} <= {"snapshot", "delta", "clear"}
    assert len({record.partition for record in books.by_contract()[conid]}) == 1


def test_accounts_come_from_a_key_vault_by_workload_identity() -> None:
    apply_example("keyvault-simulator")
    feed = wait_ready("metals")
    assert [shard["account"] for shard in feed["status"]["shards"]] == [10]
    pod = read("pod", "metals-0", NAMESPACE)["spec"]["containers"][0]
    assert not [variable for variable in pod["env"] if "password" in variable["name"].lower()]
