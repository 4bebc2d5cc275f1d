"""What ``ibfeed why`` says, of statuses that the operator has written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from ibfeed.cluster.explain import Explanation, explain, find
from ibfeed.cluster.objects import Feed, FeedNews, Shard, read
from ibfeed.cluster.overview import feed_page
from ibfeed.errors import MissingObjectError
from ibfeed_api.shard import ContractState, EntryState, KafkaStatus, Report, Session
from ibfeed_operator.model.types import Contract, Health, UnassignedReason, Worker, WorkerHealth
from support.desk import API, CONTRACTS, EPOCH, NOW, Desk, entry, worker

FIRST = CONTRACTS[0]


def feed_of(desk: Desk) -> Feed:
    return read(Feed, desk.objects[f"{API}/ibfeeds/energy"])


def why(desk: Desk, contract: Contract = FIRST, news: Sequence[FeedNews] = ()) -> Explanation:
    feed = feed_of(desk)
    shards = [read(Shard, one) for path, one in desk.objects.items() if "/ibshards/" in path]
    (_, found), *_ = find(contract.symbol, [feed])
    return explain(feed, found, shards, None, news, NOW)


def streaming(**spec: Any) -> Desk:
    desk = Desk()
    desk.feed(worker(0, *CONTRACTS[:2]), worker(1, *CONTRACTS[2:]), **spec)
    return desk


def test_published_contract_has_its_whole_place() -> None:
    answer = why(streaming())
    assert answer.publishing
    assert (answer.worker, answer.account, answer.topic, answer.partition) == ("energy-0", 1, "ticklast", 11)
    assert answer.sentences[0] == (
        f"CLZ6 (conid 100) is published by energy-0 with account 1, to partition 11 of ticklast, under epoch {EPOCH}"
        " since 2026-11-27 07:50:00 UTC (10 min)."
    )
    assert answer.sentences[1:] == (
        "Its last tick came 1.5 s ago.",
        "No worker holds it ready, since spec.standby is None: another would subscribe it within seconds.",
    )
    assert (answer.reason, answer.advice) == ("", ())


@pytest.mark.parametrize(
    ("reason", "says", "advice"),
    [
        (UnassignedReason.CAPACITY, "has 100 market data lines", "scale ibf/energy --replicas=3"),
        (UnassignedReason.NO_ACCOUNT, "no account", "ibfeed account list"),
        (UnassignedReason.WORKER_MISSING, "condition Ready for the others", "ibfeed status energy"),
        (UnassignedReason.DRAINED, "at a drained worker", "--replicas=3"),
        (UnassignedReason.KAFKA, "cannot publish", "describe ibf energy"),
        (UnassignedReason.NO_WORKERS, "no worker is streaming", "ibfeed account list"),
        (UnassignedReason.MOVING, "has not let go yet", "wait"),
    ],
)
def test_unassigned_contract_has_cause_and_what_to_do(reason: UnassignedReason, says: str, advice: str) -> None:
    desk = Desk()
    desk.feed(worker(0, CONTRACTS[1]), worker(1, *CONTRACTS[2:]), unassigned={FIRST: reason})
    answer = why(desk)
    assert (answer.state, answer.reason, answer.worker) == ("unassigned", str(reason), None)
    assert says in answer.sentences[0]
    assert answer.sentences[1] == "It belongs to partition 11 of ticklast."
    assert any(advice in one for one in answer.advice)


def refused(state: ContractState, message: str) -> Worker:
    return worker(
        0, *CONTRACTS[:2], said={FIRST.conid: Report(conid=FIRST.conid, epoch=EPOCH, state=state, message=message)}
    )


@pytest.mark.parametrize(
    ("owner", "state", "says", "advice"),
    [
        (refused(ContractState.REFUSED, "No market data permissions"), "refused", "permissions", "subscriptions at IB"),
        (refused(ContractState.SILENT, "nothing since 07:55"), "silent", "nothing since 07:55", "not quiet"),
    ],
)
def test_contract_that_is_not_published_quotes_its_worker(owner: Worker, state: str, says: str, advice: str) -> None:
    desk = Desk()
    desk.feed(owner, worker(1, *CONTRACTS[2:]))
    answer = why(desk)
    assert answer.state == state
    assert says in answer.sentences[0]
    assert any(advice in one for one in answer.advice)


def test_worker_that_cannot_publish_is_named_with_kafkas_error() -> None:
    kafka = KafkaStatus(reachable=False, reason="BootstrapUnreachable", message="kafka:9092 does not answer")
    waits = Report(conid=FIRST.conid, epoch=EPOCH, state=ContractState.SUBSCRIBING)
    desk = Desk()
    desk.feed(worker(0, FIRST, said={FIRST.conid: waits}, kafka=kafka), worker(1, *CONTRACTS[2:]))
    answer = why(desk)
    assert answer.state == "subscribing"
    assert "energy-0 cannot publish: kafka:9092 does not answer." in answer.sentences[0]
    assert "ibfeed logs energy-0 -n markets" in answer.advice


def test_last_report_of_a_dead_worker_counts_for_nothing() -> None:
    desk = Desk()
    lost = WorkerHealth(state=Health.LOST, reason="it has no pod")
    desk.feed(replace(worker(0, *CONTRACTS[:2]), pod=None, health=lost), worker(1, *CONTRACTS[2:]))
    answer = why(desk)
    assert (answer.state, answer.worker) == ("assigned", "energy-0")
    assert "which does not publish it (PodNotRunning): energy-0: " in answer.sentences[0]
    feed = feed_of(desk)
    shards = [read(Shard, one) for path, one in desk.objects.items() if "/ibshards/" in path]
    assert [one.state for one in feed_page(feed, shards, [], None).contracts] == ["assigned"] * 2 + ["publishing"] * 2


def test_suspended_feed_is_the_cause() -> None:
    desk = Desk()
    desk.feed(worker(0, session=Session.STOPPED), suspend=True)
    answer = why(desk)
    assert (answer.reason, answer.advice) == ("Suspended", ("ibfeed resume energy -n markets",))
    assert "energy is suspended: spec.suspend is true" in answer.sentences[0]


def test_contract_on_the_move_is_at_two_workers() -> None:
    desk = streaming()
    shard = desk.objects[f"{API}/ibshards/energy-1"]
    standby = msgspec.to_builtins(entry(FIRST, state=EntryState.STANDBY, epoch=EPOCH + 5))
    shard["spec"]["contracts"].append(standby)
    shard["status"]["contracts"].append({"conid": FIRST.conid, "epoch": EPOCH + 5, "state": "warm"})
    answer = why(desk)
    assert answer.worker == "energy-0"
    assert "It is on the move: Active at energy-0 (publishing), Standby at energy-1 (warm)." in answer.sentences


def test_report_of_an_earlier_epoch_counts_for_nothing() -> None:
    desk = streaming()
    desk.objects[f"{API}/ibshards/energy-0"]["spec"]["contracts"][0]["epoch"] = EPOCH + 9
    assert why(desk).last_tick is None


def test_pin_that_does_not_hold_is_said() -> None:
    answer = why(streaming(annotations={"ibfeed.dev/pin": "CLZ6=1,CLG7=1"}))
    assert answer.sentences[-1].startswith("It is pinned to energy-1: ")
    other = why(streaming(annotations={"ibfeed.dev/pin": "CLZ6=1,CLG7=1"}), CONTRACTS[2])
    assert other.sentences[-1] == "It is pinned to energy-1."


def test_news_of_its_worker_and_warnings_are_shown_newest_first() -> None:
    def news(minute: int, kind: str, message: str) -> FeedNews:
        return FeedNews(type=kind, reason="R", message=message, last_timestamp=f"2026-11-27T07:{minute}:00Z")

    given = [news(10, "Normal", "energy-0 is streaming"), news(20, "Normal", "energy-1 is streaming")]
    given.append(news(30, "Warning", "energy-1 is lost"))
    assert why(streaming(), news=given).events == (
        "2026-11-27 07:30:00 UTC  R: energy-1 is lost",
        "2026-11-27 07:10:00 UTC  R: energy-0 is streaming",
    )


@pytest.mark.parametrize(
    ("symbol", "says"),
    [
        ("CLM7", "streams the nearest 4 months of CL: CLZ6, CLF7, CLG7, CLH7. Raise frontMonths"),
        ("LCZ6", "is it CLZ6?"),
        ("ESH7", "add its root to spec.roots"),
    ],
)
def test_unknown_symbol_is_answered_with_what_there_is(symbol: str, says: str) -> None:
    with pytest.raises(MissingObjectError) as error:
        find(symbol, [feed_of(streaming())])
    assert says in str(error.value)
    with pytest.raises(MissingObjectError, match="no IbFeed in this namespace"):
        find(symbol, [])


def test_conid_finds_a_contract_too() -> None:
    ((_, found),) = find("102", [feed_of(streaming())])
    assert found.symbol == "CLG7"
