"""The operator as a process, against a real API server, with hollow workers: see ``support.hollow``.

It runs under the rights of ``manifests/operator/rbac.yaml`` and may do nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from ibfeed_api.reasons import Condition
from ibfeed_operator.kube.errors import NotFoundError
from support.control_plane import ControlPlane
from support.figures import Figures
from support.hollow import LEASES, NAMESPACE, PODS, ROOTS, Crew, Fate
from support.hollow_feed import FEEDS, Feed, balanced, epochs, eventually, left_of
from support.operator_process import Operator

on_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def feed(
    crew: Crew, operator: Operator, plane: ControlPlane, request: pytest.FixtureRequest
) -> AsyncIterator[Feed]:
    """A feed of 3 workers and 12 contracts that streams; afterwards nothing of it may be left."""
    number = sum(request.node.name.encode()) % 10_000
    feed = Feed(crew, f"f{number}")
    await feed.apply()
    try:
        await feed.ready(12)
        await eventually(balanced(feed, 4, 4, 4), within=10, what="three workers with four contracts each")
        yield feed
    except AssertionError:
        print((plane.directory / "operator.log").read_text()[-8000:])
        raise
    if request.node.name != "test_delete":
        await feed.cluster.delete(f"{FEEDS}/{feed.name}")
    await eventually(lambda: left_of(feed), wanted=[], within=30, what="nothing of the deleted feed is left")
    assert crew.doubles[:3] == []


@on_one_loop
async def test_first_workers_of_a_feed_share_at_once(feed: Feed) -> None:
    """However far apart they come to stream, within seconds: every contract is where it was first put."""
    published = Counter(conid for name, conid, _ in feed.crew.publishers if name == feed.name)
    assert len(published) == 12
    assert set(published.values()) == {1}, "none had a second epoch, nor so a second worker"


@on_one_loop
async def test_its_metrics_tell_how_the_feed_is(feed: Feed, operator: Operator) -> None:
    def read() -> dict[str, dict[str, float]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{operator.http_port}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        found: dict[str, dict[str, float]] = {}
        for sample in (sample for family in families for sample in family.samples):
            labels = dict(sample.labels)
            if labels.pop("feed", feed.name) == feed.name:
                labels.pop("namespace", None)
                found.setdefault(sample.name, {})[" ".join(labels.values())] = sample.value
        return found

    seen = await asyncio.to_thread(read)
    assert seen["ibfeed_operator_leader"] == {"": 1}
    assert seen["ibfeed_feed_contracts"] == {"wanted": 12, "assigned": 12, "publishing": 12, "standby": 0}
    assert seen["ibfeed_feed_workers"] == {"wanted": 3, "streaming": 3}
    assert seen["ibfeed_feed_accounts"] == {"configured": 6, "held": 3, "failing": 0, "parked": 0}
    assert seen["ibfeed_feed_condition"]["Covered AllPublishing True"] == 1
    assert len(seen["ibfeed_feed_condition"]) == len(Condition)
    assert time.time() - seen["ibfeed_operator_last_reconcile_timestamp_seconds"][""] < 30
    assert seen["ibfeed_ib_maintenance"][""] in (0, 1)


@on_one_loop
class TestUniverse:
    async def test_root_added_and_removed(self, feed: Feed, figures: Figures) -> None:
        before = feed.published()
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}, {"symbol": "GC"}])
        took = await eventually(balanced(feed, 6, 6, 6), within=10, what="GC is streamed")
        figures.record("root added, until all its contracts have a worker", took, bar=2, note="hollow workers")
        assert {conid: pod for conid, pod in feed.published().items() if conid in before} == before
        await feed.ready(18)
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "GC"}])
        await feed.ready(12)
        assert not any(2000 <= conid < 3000 for conid in feed.published())

    async def test_a_root_that_comes_back_goes_on_above_its_oldepochs(self, feed: Feed) -> None:
        old = await epochs(feed)
        await feed.patch(roots=[{"symbol": "CL"}])
        await feed.ready(6)
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}])
        await feed.ready(12)
        new = await epochs(feed)
        assert all(new[conid] > epoch for conid, epoch in old.items() if conid >= 2000)

    async def test_front_months(self, feed: Feed) -> None:
        before = feed.published()
        slots = {c["conid"]: c["slot"] for c in (await feed.read())["status"]["contracts"]}
        assert sorted(slots.values()) == list(range(12))
        await feed.patch(frontMonths=9)
        await feed.ready(18)
        assert {conid: pod for conid, pod in feed.published().items() if conid in before} == before
        await feed.patch(frontMonths=2)
        await feed.ready(4)
        after = {c["conid"]: c["slot"] for c in (await feed.read())["status"]["contracts"]}
        assert after == {conid: slot for conid, slot in slots.items() if conid in after}

    async def test_unknown_root_is_named_and_harms_nobody(self, feed: Feed) -> None:
        before = feed.published()
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}, {"symbol": "XYZZY"}])

        async def named() -> bool:
            found = await feed.condition("UniverseResolved")
            return found["reason"] == "UnknownRoot" and "XYZZY" in found["message"]

        await eventually(named, within=10, what="the unknown root is named")
        assert feed.published() == before

    async def test_a_root_with_two_products_is_refused_until_one_is_named(self, feed: Feed) -> None:
        before = feed.published()
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}, {"symbol": "SI"}])

        async def named() -> bool:
            found = await feed.condition("UniverseResolved")
            return found["reason"] == "AmbiguousRoot" and '{symbol: "SI", tradingClass: "SIL"}' in found["message"]

        await eventually(named, within=10, what="the products of SI are named")
        assert feed.published() == before
        silver = [{"symbol": "SI", "tradingClass": "SIL"}, {"symbol": "SI", "multiplier": 5000, "frontMonths": 1}]
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "NG"}, *silver])
        await feed.ready(12 + 6 + 1)
        contracts = (await feed.read())["status"]["contracts"]
        found = {
            c["symbol"]: (c["tradingClass"], c["multiplier"], c["currency"]) for c in contracts if c["root"] == "SI"
        }
        assert found["SIF1"] == ("SI", "5000", "USD")
        assert found["SILM1"] == ("SIL", "1000", "USD")
        assert len({c["symbol"] for c in contracts}) == 19

    async def test_a_root_with_a_dot(self, feed: Feed) -> None:
        await feed.patch(roots=[{"symbol": "CL"}, {"symbol": "HHI.HK"}])
        await feed.ready(12)
        assert "HHI.HKF1" in {c["symbol"] for c in (await feed.read())["status"]["contracts"]}


@on_one_loop
class TestScale:
    async def test_up_moves_only_the_newcomers_share(self, feed: Feed) -> None:
        before = feed.published()
        await feed.patch(workers=4)
        await eventually(balanced(feed, 3, 3, 3, 3), within=15, what="four workers with three each")
        moved = [conid for conid, pod in feed.published().items() if pod != before[conid]]
        assert len(moved) == 3
        assert {feed.published()[conid] for conid in moved} == {f"{feed.name}-3"}
        assert feed.crew.lost(feed.name) == []

    async def test_newcomer_that_never_gets_warm_disturbs_nobody(self, feed: Feed) -> None:
        before, started = feed.published(), await epochs(feed)
        newcomer = f"{feed.name}-3"
        feed.crew.cold.add(newcomer)
        await feed.patch(workers=4)

        async def waiting() -> list[str]:
            shard = (await feed.shards()).get(newcomer, {"spec": {}})
            return [entry["state"] for entry in shard["spec"].get("contracts", ())]

        await eventually(waiting, wanted=["Standby"] * 3, within=15, what="three contracts stand by at the newcomer")
        await asyncio.sleep(2)
        assert feed.published() == before
        assert (await feed.condition("Rebalancing"))["status"] == "True"
        assert (await feed.condition("Covered"))["status"] == "True"
        await feed.crew.kill(newcomer)
        await eventually(waiting, wanted=[], within=10, what="the dead newcomer's entries go")
        assert await epochs(feed) == started
        feed.crew.cold.clear()
        await feed.crew.restart(newcomer)
        await eventually(balanced(feed, 3, 3, 3, 3), within=15, what="four workers with three each")
        assert feed.crew.lost(feed.name) == []

    async def test_down_moves_first_then_removes(self, feed: Feed) -> None:
        before = feed.published()
        await feed.patch(workers=2)
        await eventually(balanced(feed, 6, 6), within=15, what="two workers with six each")
        moved = {conid for conid, pod in feed.published().items() if pod != before[conid]}
        assert moved == {conid for conid, pod in before.items() if pod == f"{feed.name}-2"}

        async def gone() -> bool:
            return set(await feed.shards()) == {f"{feed.name}-0", f"{feed.name}-1"}

        await eventually(gone, within=15, what="the third shard is gone")
        await feed.ready(12)
        assert feed.crew.lost(feed.name) == []


@on_one_loop
class TestReplacement:
    async def test_deleted_pod_that_still_streams_is_relieved_first(self, feed: Feed, figures: Figures) -> None:
        victim = f"{feed.name}-1"
        uid = feed.crew.workers[victim].uid
        await feed.cluster.delete(f"{PODS}/{victim}")
        took = await eventually(lambda: _other_than(feed, victim, uid), within=20, what="another pod has its place")
        figures.record(
            "pod deleted, until its contracts are elsewhere and another is there", took, bar=3, note="hollow"
        )
        await eventually(balanced(feed, 4, 4, 4), within=15, what="the new pod has its share")
        assert feed.crew.lost(feed.name) == []

    async def test_rolling_update_moves_the_contracts_away_from_each_pod_first(self, feed: Feed) -> None:
        uids = {pod: worker.uid for pod, worker in feed.crew.workers.items() if worker.feed == feed.name}
        kafka = (await feed.read())["spec"]["kafka"]
        await feed.patch(kafka={**kafka, "lingerMs": 7})
        unready: list[int] = []

        async def all_replaced() -> bool:
            mine = [worker for worker in feed.crew.workers.values() if worker.feed == feed.name]
            unready.append(sum(not worker.streams for worker in mine) + 3 - len(mine))
            return len(mine) == 3 and not any(worker.uid == uids[worker.pod] for worker in mine)

        await eventually(all_replaced, within=60, what="all three pods are new ones")
        await eventually(balanced(feed, 4, 4, 4), within=15, what="three workers with four contracts each")
        await feed.ready(12)
        assert max(unready) == 1, "one after the other"
        assert feed.crew.lost(feed.name) == []

    async def test_only_worker_is_not_kept_waiting(self, feed: Feed) -> None:
        await feed.patch(workers=1)
        await eventually(balanced(feed, 12), within=15, what="one worker with all")
        await eventually(lambda: _pods_of(feed), wanted=1, within=15, what="the others are gone")
        victim, old = f"{feed.name}-0", await epochs(feed)
        uid = feed.crew.workers[victim].uid
        await feed.cluster.delete(f"{PODS}/{victim}")
        took = await eventually(lambda: _other_than(feed, victim, uid), within=10, what="another pod has its place")
        assert took < 4
        await feed.ready(12)
        assert {conid: pod for conid, pod in feed.published().items() if pod == victim} == feed.published()
        assert all(epoch > old[conid] for conid, epoch in (await epochs(feed)).items())

    async def test_worker_that_says_it_was_told_to_stop_is_relieved_although_its_pod_stays(self, feed: Feed) -> None:
        """As on a node that shuts down."""
        leaver = feed.crew.workers[f"{feed.name}-2"]
        leaver.told_to_stop = 1.0
        await eventually(balanced(feed, 6, 6), within=10, what="the others have its contracts")
        leaver.told_to_stop = None
        await eventually(balanced(feed, 4, 4, 4), within=10, what="it has its share again")
        assert feed.crew.lost(feed.name) == []


async def _other_than(feed: Feed, pod: str, uid: str) -> bool:
    return pod in feed.crew.workers and feed.crew.workers[pod].uid != uid


async def _pods_of(feed: Feed) -> int:
    return sum(worker.feed == feed.name for worker in feed.crew.workers.values())


@on_one_loop
class TestLoss:
    async def test_dead_container(self, feed: Feed, figures: Figures) -> None:
        victim = f"{feed.name}-1"
        before = feed.published()
        lost = {conid for conid, pod in before.items() if pod == victim}
        await feed.crew.kill(victim)

        async def reassigned() -> bool:
            active = {
                entry["conid"]
                for name, shard in (await feed.shards()).items()
                for entry in shard["spec"]["contracts"]
                if name != victim and entry["state"] == "Active"
            }
            return lost <= active

        took = await eventually(reassigned, within=5, what="the survivors have the contracts")
        figures.record(
            "container dead, until its contracts stand in other shards", took, bar=0.3, note="hollow workers"
        )
        await eventually(balanced(feed, 6, 6), within=5, what="two survivors with six each")
        assert {c: p for c, p in feed.published().items() if c not in lost} == {
            c: p for c, p in before.items() if c not in lost
        }
        await feed.crew.restart(victim)
        await eventually(balanced(feed, 4, 4, 4), within=15, what="the returned worker has its share")

    async def test_hung_worker_is_lost_by_its_lease(self, feed: Feed) -> None:
        victim = feed.crew.workers[f"{feed.name}-2"]
        victim.cut_off = True
        took = await eventually(
            lambda: _is(len({c for c, p in feed.published().items() if p != victim.pod}) == 12),
            within=20,
            what="the survivors stream the hung worker's contracts",
        )
        assert took >= 8  # never before it must have stopped by itself
        victim.cut_off = False
        await eventually(balanced(feed, 4, 4, 4), within=15, what="the returned worker has its share")

    async def test_brief_loss_of_a_session_moves_nothing(self, feed: Feed) -> None:
        before = feed.published()
        worker = feed.crew.workers[f"{feed.name}-0"]
        worker.session = "Reconnecting"
        await asyncio.sleep(3)
        worker.session = "Streaming"
        await feed.ready(12)
        assert feed.published() == before

    async def test_long_loss_of_a_session_moves_its_contracts(self, feed: Feed) -> None:
        worker = feed.crew.workers[f"{feed.name}-0"]
        worker.session = "LoggingIn"
        await eventually(balanced(feed, 6, 6), within=12, what="two workers with six each")
        worker.session = "Streaming"
        await eventually(balanced(feed, 4, 4, 4), within=10, what="three workers with four each")

    async def test_most_sessions_lost_together_moves_nothing(self, feed: Feed) -> None:
        before = feed.published()
        for index in (0, 1):
            feed.crew.workers[f"{feed.name}-{index}"].session = "Reconnecting"
        await asyncio.sleep(8)
        entries = {e["conid"]: n for n, s in (await feed.shards()).items() for e in s["spec"]["contracts"]}
        assert entries == before
        feed.crew.workers[f"{feed.name}-0"].session = "Streaming"
        await asyncio.sleep(7)
        feed.crew.workers[f"{feed.name}-1"].session = "Streaming"
        await feed.ready(12)
        assert feed.published() == before

    async def test_parked_account_is_replaced_and_named(self, feed: Feed) -> None:
        victim = feed.crew.workers[f"{feed.name}-1"]
        account = (await feed.shards())[victim.pod]["spec"]["account"]
        victim.session = "Parked"
        parked = {"ibfeed.dev/parked": "WrongCredentials", "ibfeed.dev/failed-logins": "3"}
        await feed.cluster.patch(f"{LEASES}/{account['lease']}", {"metadata": {"annotations": parked}})

        async def other() -> bool:
            return bool((await feed.shards())[victim.pod]["spec"]["account"]["index"] == 4)

        await eventually(other, within=10, what="it gets account 4")
        victim.session = "Streaming"
        await feed.ready(12)
        unpark = {"ibfeed.dev/parked": None, "ibfeed.dev/failed-logins": None}
        await feed.cluster.patch(f"{LEASES}/{account['lease']}", {"metadata": {"annotations": unpark}})


@on_one_loop
class TestLifecycle:
    async def test_operator_restart_moves_nothing(self, feed: Feed, operator: Operator) -> None:
        before = feed.published()
        specs = {name: shard["spec"] for name, shard in (await feed.shards()).items()}
        asked = len(feed.crew.asked)
        operator.kill()
        await asyncio.sleep(1)
        operator.start()
        await asyncio.sleep(6)
        assert feed.published() == before
        assert {name: shard["spec"] for name, shard in (await feed.shards()).items()} == specs
        assert len(feed.crew.asked) == asked

    async def test_worker_restarted_while_the_operator_is_away_waits_for_epochs_of_its_own(
        self, feed: Feed, operator: Operator
    ) -> None:
        victim, before = f"{feed.name}-1", await epochs(feed)
        mine = {conid for conid, pod in feed.published().items() if pod == victim}
        operator.kill()
        await feed.crew.kill(victim)
        await feed.crew.restart(victim)
        await asyncio.sleep(2)
        assert not any(pod == victim for pod in feed.published().values())
        operator.start()
        await eventually(balanced(feed, 4, 4, 4), within=20, what="three workers with four contracts each")
        await feed.ready(12)
        after = await epochs(feed)
        assert all(after[conid] > before[conid] for conid in mine)

    async def test_epoch_that_a_process_died_under_before_it_said_so_is_not_its_successors(self, feed: Feed) -> None:
        """It has published under it, but its status does not tell; and there is no other worker."""
        await feed.patch(workers=1)
        await eventually(balanced(feed, 12), within=15, what="one worker with all")
        await eventually(lambda: _pods_of(feed), wanted=1, within=15, what="the others are gone")
        victim, new = f"{feed.name}-0", {ROOTS[root] + 7 for root in ("CL", "NG")}
        for conid in new:
            feed.crew.fates.append(Fate(victim, conid, "publishing", victim, written=False))
        process = feed.crew.workers[victim].process
        await feed.patch(frontMonths=7)
        await eventually(lambda: _is(process in feed.crew.dead), within=10, what="it died before it reported")
        feed.crew.fates.clear()
        given = await epochs(feed)
        assert new & set(given)
        feed.crew.workers[victim].session = "LoggingIn"
        await feed.crew.restart(victim)

        async def renewed() -> bool:
            now = await epochs(feed)
            return all(now[conid] > given[conid] for conid in new & set(given))

        await eventually(renewed, within=10, what="what it was given last has an epoch of the new process's own")
        feed.crew.workers[victim].session = "Streaming"
        await feed.ready(14)

    async def test_operator_killed_in_the_middle_of_moves(self, feed: Feed, operator: Operator) -> None:
        for workers in (6, 2, 5, 3):
            await feed.patch(workers=workers)
            for delay in (0.05, 0.15, 0.3):
                await asyncio.sleep(delay)
                operator.kill()
                operator.start()
        await eventually(balanced(feed, 4, 4, 4), within=30, what="three workers with four each")
        await feed.ready(12)
        assert feed.crew.lost(feed.name) == []

    async def test_suspend_and_resume(self, feed: Feed) -> None:
        before = feed.published()
        await feed.patch(suspend=True)
        await eventually(lambda: _is(not feed.published()), within=10, what="nothing is streamed")

        async def said() -> object:
            return (await feed.condition("Suspended"))["status"]

        await eventually(said, wanted="True", within=3, what="condition Suspended is True")
        entries = {e["conid"]: n for n, s in (await feed.shards()).items() for e in s["spec"]["contracts"]}
        assert entries == before
        await feed.patch(suspend=False)
        await feed.ready(12)
        assert feed.published() == before

    async def test_delete(self, feed: Feed) -> None:
        """The fixture sees that nothing is left, account Leases included."""
        await feed.cluster.delete(f"{FEEDS}/{feed.name}")

        async def gone() -> bool:
            try:
                await feed.read()
            except NotFoundError:
                return True
            return False

        await eventually(gone, within=10, what="the feed is gone")

    async def test_two_feeds_share_a_source_but_never_an_account(self, feed: Feed, crew: Crew) -> None:
        other = Feed(crew, f"{feed.name}b")
        source = {"secretRef": {"name": f"{feed.name}-accounts"}, "first": 1, "count": 6}
        await other.apply(accounts=source, roots=[{"symbol": "ES"}], workers=3)
        await other.ready(6)
        used = [
            shard["spec"]["account"]["index"]
            for shards in (await feed.shards(), await other.shards())
            for shard in shards.values()
        ]
        assert sorted(used) == [1, 2, 3, 4, 5, 6]
        await other.cluster.delete(f"{FEEDS}/{other.name}")

    async def test_more_workers_than_free_accounts_is_said(self, feed: Feed, crew: Crew) -> None:
        other = Feed(crew, f"{feed.name}c")
        source = {"secretRef": {"name": f"{feed.name}-accounts"}, "first": 1, "count": 4}
        await other.apply(accounts=source, roots=[{"symbol": "ES"}], workers=2)

        async def said() -> bool:
            return (await other.condition("AccountsAvailable")).get("status") == "False"

        await eventually(said, within=10, what="AccountsAvailable is False")
        await eventually(lambda: _is(len(other.published()) == 6), within=10, what="one worker streams all")
        await other.cluster.delete(f"{FEEDS}/{other.name}")

    async def test_an_object_of_that_name_that_is_somebody_elses_is_left_alone(self, feed: Feed, crew: Crew) -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/services/somebody"
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "somebody", "namespace": NAMESPACE},
            "spec": {"ports": [{"port": 9092}]},
        }
        await feed.cluster.create(service)
        before = json.loads(await feed.cluster.get(path))
        other = Feed(crew, "somebody")
        await other.apply(accounts={"secretRef": {"name": "somebody-accounts"}, "count": 3})

        async def said() -> bool:
            return "Service somebody is there already" in (await other.condition("Ready")).get("message", "")

        await eventually(said, within=20, what="Ready says whose name it is")
        assert json.loads(await feed.cluster.get(path)) == before
        await other.cluster.delete(f"{FEEDS}/somebody")
        await feed.cluster.delete(path)


async def _is(value: bool) -> bool:
    return value


def test_log_has_no_traceback(plane: ControlPlane) -> None:
    log = (plane.directory / "operator.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
    assert Path(plane.directory / "operator.log").stat().st_size > 0
