"""The main job on the real cluster, with the figures that it has to show.

Everything is real but IB: API server, kubelet, pods, Chromium, Kafka. What the venue says it sent is compared with what
a consumer finds on Kafka.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.conftest import NAMESPACE, apply_example, remove_all_feeds, wait_ready
from support.cluster import eventually, is_ready, items, kill_container, kubectl, owners, read
from support.figures import Figures
from support.stream import Tap
from support.truth import compare
from support.venue import Venue

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def energy(venue: Venue, figures: Figures) -> Iterator[None]:
    """One feed for the whole module, timed from `kubectl apply` to Ready, three browser logins included."""
    remove_all_feeds()
    begin = time.monotonic()
    apply_example("energy")
    wait_ready("energy")
    figures.record("apply_to_ready", time.monotonic() - begin, bar=90)
    yield
    remove_all_feeds()


def feed() -> dict[str, Any]:
    return read("ibfeed", "energy", NAMESPACE)


def exactly_what_was_sent(tap: Tap, venue: Venue, since: int, until_ms: int) -> int:
    """Assert that Kafka holds each update once, in order, on the contract's partition; return how many there were."""
    slots = {c["conid"]: c["slot"] for c in feed()["status"]["contracts"]}
    found = compare(tap.by_contract(), venue.updates(since), slots, until_ms=until_ms)
    assert found.missing == 0, "Kafka and venue disagree"
    return found.sent


def test_every_update_is_on_kafka_once_in_order_on_its_partition(venue: Venue) -> None:
    since = venue.cursor()
    with Tap() as tap:
        time.sleep(20)
        until_ms = venue.now_ms() - 1500
        time.sleep(2)
        compared = exactly_what_was_sent(tap, venue, since, until_ms)
    assert compared > 12 * 10  # twelve contracts, twenty seconds


def test_status_names_one_worker_and_account_for_every_contract() -> None:
    status = feed()["status"]
    assert status["contractCount"] == status["assignedCount"] == 12
    per_worker = {s["worker"]: s["contracts"] for s in status["shards"]}
    assert sorted(per_worker.values()) == [4, 4, 4]
    assert len({s["account"] for s in status["shards"]}) == 3
    assert len({c["slot"] for c in status["contracts"]}) == 12


def test_a_root_added_by_patch_streams_within_seconds(figures: Figures) -> None:
    before = set(owners(feed()))
    with Tap() as tap:
        moment = time.time()
        patch = '[{"op": "add", "path": "/spec/roots/-", "value": {"symbol": "RB", "frontMonths": 3}}]'
        kubectl("patch", "ibf", "energy", "-n", NAMESPACE, "--type=json", "-p", patch)
        added = eventually(
            lambda: set(owners(f)) - before if len(owners(f := feed())) == 15 else None,
            within=20,
            what="RB's contracts",
        )
        found = eventually(
            lambda: f if len(f := tap.first_after(added, moment)) == len(added) else None,
            within=30,
            what="first ticks of RB",
        )
    figures.record("added_root_first_tick", max(found.values()) - moment, bar=10)


def test_a_removed_root_leaves_and_nothing_else_moves_needlessly() -> None:
    before = owners(feed())
    symbols = {c["conid"]: c["root"] for c in feed()["status"]["contracts"]}
    kubectl(
        "patch", "ibf", "energy", "-n", NAMESPACE, "--type=json", "-p", '[{"op": "remove", "path": "/spec/roots/2"}]'
    )
    eventually(lambda: len(owners(f := feed())) == 12 and is_ready(f), within=30, what="RB is gone")
    after = owners(feed())
    assert set(after) == {conid for conid, root in symbols.items() if root != "RB"}
    moved = [conid for conid in after if after[conid] != before[conid]]
    assert len(moved) <= 3  # at most one for each removed contract


def test_contracts_of_a_killed_container_go_on_elsewhere(venue: Venue, figures: Figures) -> None:
    """A contract goes on with its next tick; one whose market is quiet, with its new subscription at the venue."""
    for victim in ("energy-0", "energy-1", "energy-2"):  # who dies a second time is not trusted with contracts at once
        wait_ready("energy")
        mine = [conid for conid, worker in owners(feed()).items() if worker == victim]
        assert mine
        since = venue.cursor()
        with Tap() as tap:
            time.sleep(2)
            moment = time.time()
            kill_container(NAMESPACE, victim)
            time.sleep(0.05)  # what the dead worker had already handed to Kafka is not a recovery
            recovered = eventually(
                lambda: r if len(r := gone_on(tap, venue, since, mine, moment)) == len(mine) else None,  # noqa: B023
                within=30,
                what="the killed worker's contracts go on",
            )
        figures.record("killed_container_next_tick", max(recovered.values()) - moment, bar=5)
        # The status is about the time before the death for a moment longer.
        eventually(
            lambda: victim not in (owner[conid] for conid in mine) if (owner := owners(feed())) else None,  # noqa: B023
            within=30,
            what=f"the status says that {victim} has lost its contracts",
        )
    wait_ready("energy")
    eventually(
        lambda: sorted(s["contracts"] for s in feed()["status"]["shards"]) == [4, 4, 4],
        within=60,
        what="the returned worker has its share again",
    )


def gone_on(tap: Tap, venue: Venue, since: int, conids: list[int], moment: float) -> dict[int, float]:
    quiet = venue.streamed_again(since, moment)
    return {conid: quiet[conid] for conid in conids if conid in quiet} | tap.first_after(
        [conid for conid in conids if conid not in quiet], moment + 0.05
    )


def test_an_operator_restart_moves_and_loses_nothing(venue: Venue) -> None:
    wait_ready("energy")
    before = owners(feed())
    shards = {s["metadata"]["name"]: s["spec"]["contracts"] for s in items("ibshards", NAMESPACE)}
    since = venue.cursor()
    with Tap() as tap:
        time.sleep(2)
        kubectl("delete", "pod", "-n", "ibfeed-system", "-l", "app.kubernetes.io/component=operator", "--wait=true")
        time.sleep(5)
        kubectl("rollout", "status", "-n", "ibfeed-system", "deployment/ibfeed-operator", "--timeout=60s")
        time.sleep(10)
        until_ms = venue.now_ms() - 1500
        time.sleep(2)
        assert exactly_what_was_sent(tap, venue, since, until_ms) > 100
    assert owners(feed()) == before
    assert {s["metadata"]["name"]: s["spec"]["contracts"] for s in items("ibshards", NAMESPACE)} == shards


def test_scaling_up_and_down_loses_and_doubles_nothing(venue: Venue) -> None:
    wait_ready("energy")
    since = venue.cursor()
    with Tap() as tap:
        time.sleep(2)
        kubectl("scale", "ibf/energy", "-n", NAMESPACE, "--replicas=4")
        eventually(
            lambda: (s := feed()["status"])["assignedCount"] == 12 and [x["contracts"] for x in s["shards"]] == [3] * 4,
            within=90,
            what="four workers with three contracts each",
        )
        wait_ready("energy")
        kubectl("scale", "ibf/energy", "-n", NAMESPACE, "--replicas=2")
        eventually(
            lambda: [x["contracts"] for x in feed()["status"]["shards"]] == [6, 6] and is_ready(feed()),
            within=60,
            what="two workers with six contracts each",
        )
        time.sleep(3)
        until_ms = venue.now_ms() - 1500
        time.sleep(2)
        assert exactly_what_was_sent(tap, venue, since, until_ms) > 100
    eventually(lambda: len(items("ibshards", NAMESPACE)) == 2, within=60, what="the shards of the two others are gone")


def test_suspend_logs_out_and_keeps_the_assignment(venue: Venue) -> None:
    before = owners(feed())
    kubectl("patch", "ibf", "energy", "-n", NAMESPACE, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    eventually(lambda: not venue.logged_in(), within=40, what="every session is logged out")
    eventually(lambda: not items("pods", NAMESPACE), within=40, what="no worker pod is left")
    suspended = feed()
    assert owners(suspended) == before
    kubectl("patch", "ibf", "energy", "-n", NAMESPACE, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    wait_ready("energy")
    assert owners(feed()) == before


def test_delete_logs_out_and_leaves_nothing(venue: Venue, figures: Figures) -> None:
    wait_ready("energy")
    begin = time.monotonic()
    kubectl("delete", "ibfeed", "energy", "-n", NAMESPACE, "--wait=false")
    kinds = "ibfeeds,ibshards,statefulsets,pods,poddisruptionbudgets,roles,rolebindings,networkpolicies,leases"

    def left() -> list[str]:
        return kubectl("get", kinds, "-n", NAMESPACE, "-o", "name").split()

    eventually(lambda: not left() and not venue.logged_in(), within=60, what="nothing is left of the feed")
    figures.record("delete_to_nothing_left", time.monotonic() - begin, bar=30)
    begin = time.monotonic()
    apply_example("energy")
    wait_ready("energy")
    figures.record("apply_to_ready_again", time.monotonic() - begin, bar=60)
