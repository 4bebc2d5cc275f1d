"""What a reader that follows the documented rule meets while feeds come, go and lose their status.

It drops what has a lower epoch than it has seen of the conid. So epochs and ``seq`` have to grow, on the topic of the
order books, too, whatever happens to the resource.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cluster.conftest import NAMESPACE, remove_all_feeds, wait_ready
from support.cluster import ROOT, eventually, items, kubectl, read
from support.figures import Figures
from support.reader import RuledReader
from support.stream import KAFKA, Tap, topic_exists

TIMES = int(os.environ.get("IBFEED_RECREATIONS", "3"))
TICKS, BOOKS = "ticklast", "l2-data"

pytestmark = pytest.mark.timeout(300 + 90 * TIMES)


class Readers:
    """One of ticks and one of order books, from their opening on."""

    def __init__(self) -> None:
        missing = [NewTopic(topic, num_partitions=12) for topic in (TICKS, BOOKS) if not topic_exists(topic)]
        for made in AdminClient({"bootstrap.servers": KAFKA}).create_topics(missing).values() if missing else ():
            made.result(10)
        self._taps = {topic: Tap(topic) for topic in (TICKS, BOOKS)}
        self._open = ExitStack()

    def __enter__(self) -> Readers:
        for tap in self._taps.values():
            self._open.enter_context(tap)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, topic: str) -> RuledReader:
        reader = RuledReader()
        reader.read(self._taps[topic].records())
        return reader

    def check(self) -> None:
        for topic in self._taps:
            reader = self.read(topic)
            assert reader.dropped[:5] == [], topic
            assert reader.falls[:5] == [], topic


@pytest.fixture(scope="module", autouse=True)
def empty() -> Iterator[None]:
    remove_all_feeds()
    yield
    remove_all_feeds()


@pytest.fixture
def readers() -> Iterator[Readers]:
    with Readers() as readers:
        yield readers
    readers.check()
    remove_all_feeds()


def manifest(name: str, *roots: dict[str, Any], first: int = 1, workers: int = 1) -> str:
    feed = copy.deepcopy(yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text()))
    feed["metadata"]["name"] = name
    feed["spec"] |= {"roots": list(roots), "frontMonths": 2, "workers": workers}
    feed["spec"]["accounts"] |= {"first": first, "count": 2}
    return json.dumps(feed)


CL, NG = {"symbol": "CL", "depth": {"frontMonths": 1}}, {"symbol": "NG"}


def apply(text: str) -> set[int]:
    """Apply a feed, wait until it streams all of its roots; its conids."""
    kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=text)
    feed = json.loads(text)
    name, roots = feed["metadata"]["name"], {root["symbol"] for root in feed["spec"]["roots"]}

    def streamed() -> set[int]:
        contracts = wait_ready(name)["status"]["contracts"]
        return {c["conid"] for c in contracts} if {c["root"] for c in contracts} == roots else set()

    return eventually(streamed, within=60, what=f"{name} streams {roots}")


def delete(name: str) -> None:
    kubectl("delete", "ibfeed", name, "-n", NAMESPACE, "--wait=false")
    kinds = ("ibfeeds", "ibshards", "pods")
    eventually(
        lambda: (
            not [one for kind in kinds for one in items(kind, NAMESPACE) if one["metadata"]["name"].startswith(name)]
        ),
        within=60,
        what=f"nothing of {name} is left",
    )


def new_records(readers: Readers, conids: set[int], before: RuledReader, within: float = 30) -> None:
    """Wait until the reader has taken more of each contract, under a higher epoch."""

    def grown() -> bool:
        now = readers.read(TICKS)
        return all(now.epochs[conid][-1:] > before.epochs[conid][-1:] for conid in conids)

    eventually(grown, within=within, what="the reader takes each contract under a higher epoch")


def test_deleted_and_applied_again(readers: Readers, figures: Figures) -> None:
    text = manifest("again", CL, NG, workers=2)
    for _ in range(TIMES):
        before = readers.read(TICKS)
        new_records(readers, apply(text), before)
        delete("again")
    found = readers.read(TICKS)
    assert len(found.epochs) == 4
    assert all(len(epochs) >= TIMES for epochs in found.epochs.values())
    assert readers.read(BOOKS).taken, "order books were read, too"
    figures.record(
        "recreated_dropped_records", len(found.dropped) + len(found.falls), bar=0, unit="", note=f"{TIMES} times"
    )


def test_two_feeds_in_turn_on_one_topic(readers: Readers) -> None:
    conids = apply(manifest("turn-a", CL))
    new_records(readers, conids, RuledReader())
    before = readers.read(TICKS)
    delete("turn-a")
    assert apply(manifest("turn-b", NG, CL, first=3)) > conids
    new_records(readers, conids, before)


def test_a_root_moved_to_an_older_feed(readers: Readers) -> None:
    apply(manifest("older", NG))
    conids = apply(manifest("newer", CL, {"symbol": "RB"}, first=3))
    moved = {c["conid"] for c in read("ibfeed", "newer", NAMESPACE)["status"]["contracts"] if c["root"] == "CL"}
    new_records(readers, conids, RuledReader())
    before = readers.read(TICKS)
    apply(manifest("newer", {"symbol": "RB"}, first=3))
    apply(manifest("older", NG, CL))
    new_records(readers, moved, before)


def test_status_wiped_by_hand(readers: Readers) -> None:
    conids = apply(manifest("wiped", CL, NG))
    new_records(readers, conids, RuledReader())
    nothing = json.dumps({"status": {"contracts": [], "highestEpoch": 0, "contractCount": 0}})

    def wipe() -> None:
        kubectl("patch", "ibf", "wiped", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", nothing)

    before = readers.read(TICKS)
    wipe()
    kubectl("delete", "pod", "wiped-0", "-n", NAMESPACE)
    wait_ready("wiped")
    new_records(readers, conids, before, within=60)
    before = readers.read(TICKS)
    left = {c["conid"] for c in read("ibfeed", "wiped", NAMESPACE)["status"]["contracts"] if c["root"] == "NG"}
    apply(manifest("wiped", CL))
    wipe()
    apply(manifest("wiped", CL, NG))
    new_records(readers, left, before)
