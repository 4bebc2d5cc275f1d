"""What a feed's status says of each situation. Every message must tell a person what is and what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft202012Validator

from ibfeed_api.feed import FeedSpec, Region
from ibfeed_api.ib_calendar import closure_at
from ibfeed_api.kinds import shard_name
from ibfeed_api.logins import History, PageTrouble, Said
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import (
    Account,
    ContractState,
    Entry,
    EntryState,
    KafkaStatus,
    Report,
    Session,
    ShardSpec,
    ShardStatus,
)
from ibfeed_operator.model import feed_status
from ibfeed_operator.model.feed_status import ConditionStatus, FeedStatus
from ibfeed_operator.model.types import (
    AccountLease,
    Contract,
    Feed,
    Health,
    KafkaAccess,
    Pod,
    RootProblem,
    RootProblemKind,
    Shard,
    StatusInput,
    Unassigned,
    UnassignedReason,
    Universe,
    Worker,
    WorkerHealth,
)
from ibfeed_operator.status.feed import manifest, status_of, status_of_invalid
from support import build

ROOT = Path(__file__).resolve().parents[4]
NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 18, 5, 10, tzinfo=UTC)  # 00:10 in New York
STAMP = "2026-11-21T06:00:00Z"
EPOCH = 4
SPEC: dict[str, Any] = {
    "roots": [{"symbol": "CL"}],
    "frontMonths": 4,
    "workers": 2,
    "accounts": {"secretRef": {"name": "paper"}, "count": 3},
    "kafka": {"bootstrapServers": "kafka:9092"},
}
SYMBOLS = ("CLZ6", "CLF7", "CLG7", "CLH7")
CONTRACTS = tuple(
    Contract(
        conid=100 + i,
        root="CL",
        symbol=symbol,
        exchange="NYMEX",
        contract_month="202612",
        last_trading_day="20261120",
        slot=i,
    )
    for i, symbol in enumerate(SYMBOLS)
)


def feed(**change: Any) -> Feed:
    spec = msgspec.convert({key: value for key, value in (SPEC | change).items() if value is not None}, FeedSpec)
    return Feed(namespace="markets", name="energy", uid="u", generation=7, spec=spec)


def entry(contract: Contract, state: EntryState = EntryState.ACTIVE) -> Entry:
    return build.entry(contract.conid, symbol=contract.symbol, slot=contract.slot, epoch=EPOCH, state=state)


def replace_entry(
    contracts: tuple[Contract, ...], changed: Contract, state: EntryState, epoch: int
) -> tuple[Entry, ...]:
    other = msgspec.structs.replace(entry(changed, state), epoch=epoch)
    return tuple(other if contract is changed else entry(contract) for contract in contracts)


def report(contract: Contract, state: ContractState = ContractState.PUBLISHING, epoch: int = EPOCH) -> Report:
    return Report(conid=contract.conid, epoch=epoch, state=state)


STREAMING = WorkerHealth(state=Health.STREAMING)
STARTING = WorkerHealth(state=Health.STARTING)
ABSENT = WorkerHealth(state=Health.ABSENT)


def worker(
    index: int,
    contracts: tuple[Contract, ...] = (),
    *,
    health: WorkerHealth = STREAMING,
    entries: tuple[Entry, ...] | None = None,
    reports: tuple[Report, ...] | None = None,
    account: bool = True,
    **status: Any,
) -> Worker:
    """A worker that streams ``contracts``, unless told otherwise."""
    name = shard_name("energy", index)
    lease = f"ib-account-paper-{index + 1}"
    said: dict[str, Any] = {
        "session": Session.STREAMING,
        "market_data_live": True,
        "kafka": KafkaStatus(reachable=True),
        "contracts": tuple(map(report, contracts)) if reports is None else reports,
    }
    return Worker(
        index=index,
        health=health,
        shard=Shard(
            name=name,
            worker=index,
            uid="s",
            resource_version="1",
            spec=ShardSpec(
                feed="energy",
                worker=index,
                account=Account(source="paper", index=index + 1, lease=lease) if account else None,
                contracts=tuple(map(entry, contracts)) if entries is None else entries,
            ),
            status=ShardStatus(**(said | status)),
        ),
        pod=Pod(name=name, worker=index, uid="p", container_running=True),
        lease=AccountLease(name=lease, source="paper", index=index + 1, holder=f"{name}_p"),
    )


def pod_running(index: int, image: str) -> Pod:
    return Pod(name=shard_name("energy", index), worker=index, uid="p", container_running=True, image=image)


def situation(*workers: Worker, of: Feed | None = None, **more: Any) -> StatusInput:
    universe = more.pop("universe", Universe(contracts=CONTRACTS, resolved=True))
    return StatusInput(feed=of or feed(), universe=universe, workers=workers, **more)


def good(**more: Any) -> StatusInput:
    return situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:]), **more)


def found(of: StatusInput, kind: Condition = Condition.READY) -> ConditionStatus:
    condition = status_of(of, now=NOW).condition(kind)
    assert condition is not None
    return condition


def said(of: StatusInput, kind: Condition = Condition.READY) -> tuple[str, str, str]:
    condition = found(of, kind)
    return condition.status, condition.reason, condition.message


class TestWhenAllIsWell:
    def test_conditions(self) -> None:
        status = status_of(good(), now=NOW)
        assert {c.type: (c.status, c.reason, c.message) for c in status.conditions} == {
            "Ready": ("True", "Streaming", "streaming"),
            "UniverseResolved": ("True", "Resolved", "4 contracts of 1 root"),
            "Covered": ("True", "AllPublishing", "each of 4 contracts is published by exactly one worker"),
            "Rebalancing": ("False", "Stable", "no contract is on the move"),
            "PlacementHonored": ("True", "NothingAsked", "no worker is drained and no contract pinned by annotation"),
            "StandbysReady": ("True", "NothingAsked", "spec.standby is None: no contract has a standby"),
            "AccountsAvailable": ("True", "AccountsLeased", "2 of 2 workers hold an account"),
            "KafkaReachable": ("True", "Reachable", "records are acknowledged by kafka:9092"),
            "MarketDataLive": ("True", "Live", "IB marks the data as live"),
            "Suspended": ("False", "NotSuspended", "spec.suspend is false"),
        }
        assert {c.observed_generation for c in status.conditions} == {7}
        assert {c.last_transition_time for c in status.conditions} == {STAMP}

    def test_counts_and_lists(self) -> None:
        status = status_of(good(), now=NOW)
        assert status.observed_generation == 7
        assert (status.contract_count, status.assigned_count, status.publishing_count, status.unassigned_count) == (
            *(4, 4, 4),
            0,
        )
        assert (status.replicas, status.workers, status.workers_summary) == (2, 2, "2/2")
        assert status.shards_summary == "energy-0→1:2 energy-1→2:2"
        assert status.selector == "ibfeed.dev/feed=energy,app.kubernetes.io/component=worker"
        first = status.shards[0]
        assert (first.worker, first.session, first.account, first.contracts, first.symbols) == (
            *("energy-0", "Streaming", 1, 2),
            ("CLZ6", "CLF7"),
        )
        assert [(c.symbol, c.slot, c.worker, c.epoch, c.publishing) for c in status.contracts] == [
            ("CLZ6", 0, "energy-0", EPOCH, True),
            ("CLF7", 1, "energy-0", EPOCH, True),
            ("CLG7", 2, "energy-1", EPOCH, True),
            ("CLH7", 3, "energy-1", EPOCH, True),
        ]
        assert not status.truncated

    def test_it_can_be_read_back(self) -> None:
        status = status_of(good(), now=NOW)
        assert msgspec.convert(manifest(status), FeedStatus) == status

    def test_every_top_level_key_is_always_written(self) -> None:
        fields = {field.encode_name for field in msgspec.structs.fields(FeedStatus)}
        assert set(manifest(status_of(situation(), now=NOW))) == fields


class TestTimes:
    def test_a_condition_keeps_its_time_until_it_flips(self) -> None:
        before = status_of(good(), now=NOW)
        later = replace(feed(), status=before, generation=8)
        broken = situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:], reports=()), of=later)
        after = status_of(broken, now=NOW + timedelta(minutes=5))
        times = {c.type: c.last_transition_time for c in after.conditions}
        assert times["Covered"] == times["Ready"] == "2026-11-21T06:05:00Z"
        assert times["KafkaReachable"] == times["UniverseResolved"] == STAMP
        assert {c.observed_generation for c in after.conditions} == {8}

    def test_nothing_new_is_nothing_to_write(self) -> None:
        before = status_of(good(), now=NOW)
        again = status_of(good(of=replace(feed(), status=before)), now=NOW + timedelta(hours=1))
        assert again == before


class TestCovered:
    def test_a_report_of_an_older_epoch_does_not_count(self) -> None:
        stale = worker(0, CONTRACTS[:2], reports=(report(CONTRACTS[0]), report(CONTRACTS[1], epoch=EPOCH - 1)))
        of = situation(stale, worker(1, CONTRACTS[2:]))
        truth, reason, message = said(of, Condition.COVERED)
        assert (truth, reason) == ("False", "NotPublishing")
        assert message == "1 of 4 contracts not publishing: CLF7 at energy-0"
        assert said(of) == ("False", "NotPublishing", "1 of 4 contracts not yet publishing")

    def test_a_report_of_a_worker_that_does_not_stream_does_not_count(self) -> None:
        lost = worker(
            0, CONTRACTS[:2], health=WorkerHealth(state=Health.LOST, reason="its container was started again")
        )
        of = situation(lost, worker(1, CONTRACTS[2:]))
        assert said(of, Condition.COVERED)[:2] == ("False", "NotPublishing")
        assert status_of(of, now=NOW).publishing_count == 2

    def test_a_contract_that_is_being_handed_over_is_covered_for_five_seconds(self) -> None:
        moving = CONTRACTS[1]
        old = replace_entry(CONTRACTS[:2], moving, EntryState.RETIRING, EPOCH - 1)
        said_by_old = (report(CONTRACTS[0]), report(moving, ContractState.RELEASED, EPOCH - 1))
        heir = (*map(entry, CONTRACTS[2:]), entry(moving))
        said_by_heir = (*map(report, CONTRACTS[2:]), report(moving, ContractState.SUBSCRIBING))
        workers = (worker(0, entries=old, reports=said_by_old), worker(1, entries=heir, reports=said_by_heir))
        of = situation(*workers, handing_s={moving.conid: 1.0})
        text = "each of 4 contracts is published by exactly one worker; 1 of them being handed over"
        assert said(of, Condition.COVERED) == ("True", "AllPublishing", text)
        assert status_of(of, now=NOW).publishing_count == 3
        late = situation(*workers, handing_s={moving.conid: 5.0})
        assert said(late, Condition.COVERED)[:2] == ("False", "NotPublishing")

    @pytest.mark.parametrize(
        ("state", "says", "reason", "advice"),
        [
            (
                ContractState.REFUSED,
                "IB refuses it: No contract found",
                "SubscriptionRefused",
                "another account is tried",
            ),
            (ContractState.SILENT, "IB sends nothing of it since 12:00:00 UTC", "ContractSilent", ""),
            (ContractState.SUBSCRIBING, "IB has sent nothing of it since it was subscribed", "NotPublishing", ""),
        ],
    )
    def test_what_keeps_a_contract_back_is_named(
        self, state: ContractState, says: str, reason: str, advice: str
    ) -> None:
        held_back = Report(conid=CONTRACTS[1].conid, epoch=EPOCH, state=state, message=says)
        of = situation(worker(0, CONTRACTS[:2], reports=(report(CONTRACTS[0]), held_back)), worker(1, CONTRACTS[2:]))
        for condition in (Condition.COVERED, Condition.READY):
            truth, found, message = said(of, condition)
            assert (truth, found) == ("False", reason)
            assert message.startswith(f"1 of 4 contracts not publishing: CLF7 at energy-0: {says}")
            assert advice in message

    def test_an_order_book_that_ib_refuses_is_named(self) -> None:
        bookless = Report(
            conid=CONTRACTS[0].conid,
            epoch=EPOCH,
            state=ContractState.PUBLISHING,
            message="IB refuses its order book: no permissions",
        )
        of = situation(worker(0, CONTRACTS[:2], reports=(bookless, report(CONTRACTS[1]))), worker(1, CONTRACTS[2:]))
        assert said(of, Condition.COVERED)[0] == "True"
        assert said(of) == ("False", "SubscriptionRefused", "CLZ6: IB refuses its order book: no permissions")

    def test_two_publishers_are_one_too_many(self) -> None:
        both = situation(worker(0, CONTRACTS), worker(1, CONTRACTS[:1]))
        truth, reason, message = said(both, Condition.COVERED)
        assert (truth, reason) == ("False", "PublishedTwice")
        assert "CLZ6" in message

    def test_who_retires_a_contract_has_it_until_another_one_is_active(self) -> None:
        going = worker(0, CONTRACTS[:2], entries=(entry(CONTRACTS[0], EntryState.RETIRING), entry(CONTRACTS[1])))
        of = situation(going, worker(1, CONTRACTS[2:]))
        status = status_of(of, now=NOW)
        assert status.contracts[0].worker == "energy-0"
        assert said(of, Condition.COVERED)[0] == "True"
        assert said(of, Condition.REBALANCING) == ("True", "Moving", "1 contract on the move")
        assert said(of) == ("False", "Moving", "1 contract on the move")

    def test_a_feed_is_ready_while_a_worker_logs_in_anew_as_every_night_if_the_others_have_all(self) -> None:
        away = worker(0, (), health=WorkerHealth(state=Health.STARTING, renewing=True), session=Session.LOGGING_IN)
        text = "streaming; at the nightly login: energy-0"
        assert said(situation(away, worker(1, CONTRACTS))) == ("True", "Streaming", text)
        assert said(situation(away, worker(1, CONTRACTS[1:])))[0] == "False"
        lost = replace(away, health=WorkerHealth(state=Health.LOST))
        assert said(situation(lost, worker(1, CONTRACTS)))[:2] == ("False", "Progressing")

    def test_what_a_scheduled_login_moves_is_not_told_as_a_change(self) -> None:
        """To and fro every night: who waits for ``Ready``, or is woken when it goes, is not meant by that."""
        going = worker(
            0,
            CONTRACTS[:2],
            entries=(entry(CONTRACTS[0], EntryState.RETIRING), entry(CONTRACTS[1])),
            health=WorkerHealth(state=Health.LEAVING, renewing=True),
        )
        of = situation(going, worker(1, CONTRACTS[2:]))
        assert said(of, Condition.REBALANCING)[0] == "True"
        assert said(of)[0] == "True"

    def test_a_standby_does_not_own(self) -> None:
        warm = worker(1, entries=(entry(CONTRACTS[0], EntryState.STANDBY), *map(entry, CONTRACTS[2:])), reports=())
        status = status_of(situation(worker(0, CONTRACTS[:2]), warm), now=NOW)
        assert status.contracts[0].worker == "energy-0"
        assert status.contracts[0].publishing
        assert status.shards[1].contracts == 2

    def test_over_capacity(self) -> None:
        missing = (Unassigned(conid=103, symbol="CLH7", reason=UnassignedReason.CAPACITY),)
        tight = feed(accounts=SPEC["accounts"] | {"linesPerAccount": 2})
        of = situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:3]), of=tight, unassigned=missing)
        truth, reason, message = said(of)
        assert (truth, reason) == ("False", "Unassigned")
        assert message == (
            "1 of 4 contracts without a worker: CLH7; each worker's account has 2 market data lines:"
            " add workers and accounts, or stream fewer months"
        )
        status = status_of(of, now=NOW)
        assert (status.assigned_count, status.unassigned_count) == (3, 1)
        assert status.unassigned[0].reason == "Capacity"

    @pytest.mark.parametrize(
        ("reason", "text"),
        [
            (UnassignedReason.NO_ACCOUNT, "for another worker no account"),
            (UnassignedReason.WORKER_MISSING, "no line is left at the workers that stream"),
            (UnassignedReason.DRAINED, "no line is left but at a drained worker"),
        ],
    )
    def test_a_worker_that_could_have_it_but_cannot_now(self, reason: UnassignedReason, text: str) -> None:
        missing = (Unassigned(conid=103, symbol="CLH7", reason=reason),)
        of = situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:3]), unassigned=missing)
        assert text in said(of, Condition.COVERED)[2]
        assert text in status_of(of, now=NOW).unassigned[0].message

    def test_an_order_book_too_many(self) -> None:
        missing = (Unassigned(conid=103, symbol="CLH7", reason=UnassignedReason.DEPTH_CAPACITY),)
        of = good(unassigned=missing)
        assert said(of, Condition.COVERED)[0] == "True"
        truth, reason, message = said(of)
        assert (truth, reason) == ("False", "Capacity")
        assert "no order book of CLH7" in message
        assert "lower depth.frontMonths" in message
        assert status_of(of, now=NOW).unassigned_count == 0

    def test_the_last_epoch_is_remembered_while_nobody_has_a_contract(self) -> None:
        before = replace(feed(), status=status_of(good(), now=NOW))
        alone = situation(worker(0, CONTRACTS[:2]), worker(1), of=before)
        assert [c.epoch for c in status_of(alone, now=NOW).contracts] == [EPOCH] * 4


def backing_off(index: int, reason: Reason, message: str, session: Session = Session.BACKING_OFF) -> Worker:
    return worker(index, health=STARTING, session=session, reason=str(reason), message=message)


class TestStandbys:
    """Two workers with two contracts each, and the other one's held ready."""

    @staticmethod
    def hot(state: ContractState = ContractState.WARM, *, message: str = "", **more: Any) -> StatusInput:
        def one(index: int, mine: tuple[Contract, ...], others: tuple[Contract, ...]) -> Worker:
            ready = tuple(msgspec.structs.replace(entry(item, EntryState.STANDBY), hot=True) for item in others)
            reports = tuple(
                msgspec.structs.replace(report(item, state), message=message if item is CONTRACTS[3] else "")
                for item in others
            )
            return worker(index, entries=(*map(entry, mine), *ready), reports=(*map(report, mine), *reports))

        return situation(
            one(0, CONTRACTS[:2], CONTRACTS[2:]), one(1, CONTRACTS[2:], CONTRACTS[:2]), of=feed(standby="Hot"), **more
        )

    def test_all_warm(self) -> None:
        of = self.hot()
        assert said(of, Condition.STANDBYS_READY) == ("True", "AllWarm", "4 contracts would go on at another worker")
        status = status_of(of, now=NOW)
        assert status.standby_count == 4
        assert [item.standby for item in status.contracts] == ["energy-1", "energy-1", "energy-0", "energy-0"]
        assert [(shard.contracts, shard.standbys) for shard in status.shards] == [(2, 2), (2, 2)]
        assert said(of)[0] == "True"
        assert said(of, Condition.REBALANCING)[0] == "False"

    def test_cold_ones_are_named_with_what_their_workers_say(self) -> None:
        of = self.hot(ContractState.SUBSCRIBING, message="IB has sent nothing of it")
        assert said(of, Condition.STANDBYS_READY) == (
            "False",
            "Warming",
            "4 of 4 standbys not ready: CLZ6, CLF7, CLG7, CLH7; CLH7 at energy-0: IB has sent nothing of it",
        )
        assert said(of)[0] == "True"  # data flows all the same

    def test_what_has_no_line_is_named(self) -> None:
        of = situation(
            worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:]), of=feed(standby="Hot"), without_standby=(102, 103)
        )
        text = (
            "2 of 4 contracts without a standby: CLG7, CLH7; a contract takes one line and its standby another, and"
            " each worker's account has 100 market data lines: add workers and accounts, or stream fewer months"
        )
        assert said(of, Condition.STANDBYS_READY) == ("False", "Capacity", text)

    def test_one_worker_alone_has_nowhere_for_them(self) -> None:
        of = situation(worker(0, CONTRACTS), of=feed(standby="Hot", workers=1), without_standby=(100, 101, 102, 103))
        assert "no two stream" in said(of, Condition.STANDBYS_READY)[2]

    def test_nothing_is_said_of_a_suspended_feed_or_of_one_without_contracts(self) -> None:
        assert said(good(of=feed(standby="Hot", suspend=True)), Condition.STANDBYS_READY)[:2] == (
            "Unknown",
            "Suspended",
        )
        empty = situation(worker(0), worker(1), of=feed(standby="Hot"), universe=Universe())
        assert said(empty, Condition.STANDBYS_READY)[:2] == ("Unknown", "WaitingForWorker")


class TestWorkers:
    def test_at_the_very_beginning(self) -> None:
        of = situation(universe=Universe())
        assert said(of) == ("False", "Progressing", "0/2 workers streaming")
        assert said(of, Condition.COVERED)[0] == "Unknown"
        assert said(of, Condition.UNIVERSE_RESOLVED)[:2] == ("Unknown", "WaitingForWorker")
        assert said(of, Condition.KAFKA_REACHABLE)[0] == "Unknown"
        assert {c.type for c in status_of(of, now=NOW).conditions} == set(map(str, Condition))

    def test_on_the_way(self) -> None:
        on_its_way = [
            worker(0, health=STARTING, session=Session.LOGGING_IN),
            worker(1, health=STARTING, session=Session.LOGGING_IN),
        ]
        assert said(situation(*on_its_way)) == (
            "False",
            "Progressing",
            "0/2 workers streaming; energy-0, energy-1: logging in",
        )

    @pytest.mark.parametrize(
        "reason", [Reason.GATEWAY_BROKEN, Reason.UPSTREAM_UNREACHABLE, Reason.LOGIN_PAGE_CHANGED, Reason.PENALTY_BOX]
    )
    def test_none_streams(self, reason: Reason) -> None:
        of = situation(backing_off(0, reason, "what to do"), worker(1, health=STARTING, session=Session.LOGGING_IN))
        truth, shown, message = said(of)
        assert (truth, shown) == ("False", str(reason))
        assert message == "0/2 workers streaming; energy-0: what to do"

    def test_one_of_two_streams_all(self) -> None:
        of = situation(worker(0, CONTRACTS), backing_off(1, Reason.GATEWAY_BROKEN, "bin/run.sh is missing"))
        assert said(of, Condition.COVERED)[0] == "True"
        assert said(of) == (
            "False",
            "GatewayBroken",
            "1/2 workers streaming; energy-1: bin/run.sh is missing",
        )
        status = status_of(of, now=NOW)
        assert (status.shards[1].reason, status.shards[1].message) == ("GatewayBroken", "bin/run.sh is missing")

    def test_a_pod_that_cannot_start(self) -> None:
        pod = Pod(name="energy-1", worker=1, uid="p", waiting_reason="ErrImagePull", waiting_message="not found")
        of = situation(worker(0, CONTRACTS), replace(worker(1, health=STARTING), pod=pod))
        assert said(of) == (
            "False",
            "PodNotRunning",
            (
                "1/2 workers streaming; energy-1: its container does not run: ErrImagePull: not found; check"
                " spec.worker.image and spec.worker.imagePullSecrets, or the operator's IBFEED_WORKER_IMAGE"
            ),
        )
        assert status_of(of, now=NOW).shards[1].session == "Stopped"

    @pytest.mark.parametrize(
        ("waiting", "advice"),
        [
            ("ImagePullBackOff", "check spec.worker.image"),
            ("CreateContainerConfigError", "make the Secret or ConfigMap"),
            ("Unschedulable", "make room on a node"),
        ],
    )
    def test_pod_that_waits_says_what_to_do(self, waiting: str, advice: str) -> None:
        pod = Pod(name="energy-1", worker=1, uid="p", waiting_reason=waiting, waiting_message="why")
        of = situation(worker(0, CONTRACTS), replace(worker(1, health=STARTING), pod=pod))
        truth, reason, message = said(of)
        assert (truth, reason) == ("False", "PodNotRunning")
        assert f"{waiting}: why; {advice}" in message

    def test_image_is_told_where_a_pod_runs_another(self) -> None:
        old, new = (
            replace(worker(index, CONTRACTS[2 * index : 2 * index + 2]), pod=pod_running(index, image))
            for index, image in enumerate(("ibfeed/worker:1", "ibfeed/worker:2"))
        )
        status = status_of(situation(old, new, image="ibfeed/worker:2"), now=NOW)
        assert status.image == "ibfeed/worker:2"
        assert [shard.image for shard in status.shards] == ["ibfeed/worker:1", ""]

    def test_refused_pod_is_quoted(self) -> None:
        refused = replace(worker(1, health=ABSENT), pod=None, obstacle="the API server refuses its pod: exceeded quota")
        truth, reason, message = said(situation(worker(0, CONTRACTS), refused))
        assert (truth, reason) == ("False", "PodRefused")
        assert message == "1/2 workers streaming; energy-1: the API server refuses its pod: exceeded quota"

    def test_refused_pod_explains_contracts_without_worker(self) -> None:
        refused = replace(worker(1, health=ABSENT), pod=None, obstacle="the API server refuses its pod: exceeded quota")
        idle = tuple(
            Unassigned(conid=c.conid, symbol=c.symbol, reason=UnassignedReason.WORKER_MISSING) for c in CONTRACTS[2:]
        )
        truth, reason, message = said(situation(worker(0, CONTRACTS[:2]), refused, unassigned=idle))
        assert (truth, reason) == ("False", "Unassigned")
        assert "energy-1: the API server refuses its pod: exceeded quota" in message

    def test_pod_that_does_not_start_quotes_its_event(self) -> None:
        pod = Pod(name="energy-1", worker=1, uid="p", waiting_reason="ContainerCreating")
        text = 'its pod is not started: FailedMount: configmap "proxy-ca" not found'
        of = situation(worker(0, CONTRACTS), replace(worker(1, health=STARTING), pod=pod, obstacle=text))
        assert said(of) == ("False", "PodNotRunning", f"1/2 workers streaming; energy-1: {text}")

    def test_a_pod_whose_node_is_gone(self) -> None:
        gone = worker(1, health=WorkerHealth(state=Health.LOST, reason="it no longer renews Lease ib-account-paper-2"))
        assert gone.pod is not None
        assert gone.lease is not None
        for deleting in (False, True):  # the node controller deletes it after five minutes, and then waits for the node
            pod = replace(gone.pod, node="n7", deleting=deleting)
            hung = replace(gone, pod=pod, lease=replace(gone.lease, renew_seen_age_s=100.0))
            assert said(situation(worker(0, CONTRACTS), hung))[1] != "NodeUnreachable"
            silent = replace(hung, lease=replace(gone.lease, renew_seen_age_s=120.0))
            truth, reason, message = said(situation(worker(0, CONTRACTS), silent))
            assert (truth, reason) == ("False", "NodeUnreachable")
            assert "energy-1" in message
            assert "node n7 may be gone" in message
            assert message.endswith("kubectl -n markets delete pod energy-1 --force --grace-period=0")

    def test_between_two_pods_of_a_rolling_update_it_is_not_ready(self) -> None:
        def runs(index: int, revision: str) -> Worker:
            streams = worker(index, CONTRACTS[2 * index : 2 * index + 2])
            return replace(streams, pod=replace(pod_running(index, "worker:1"), revision=revision))

        assert said(situation(runs(0, "old"), runs(1, "old")))[0] == "True"
        truth, reason, message = said(situation(runs(0, "old"), runs(1, "new")))
        assert (truth, reason) == ("False", "Updating")
        assert message == "rolling update: 1 of 2 workers on the new template"
        assert said(situation(runs(0, "new"), runs(1, "new")))[0] == "True"

    def test_a_worker_that_is_not_trusted_yet(self) -> None:
        health = WorkerHealth(state=Health.STREAMING, probation="lost 2 times")
        of = situation(worker(0, CONTRACTS), worker(1, health=health))
        assert said(of, Condition.REBALANCING) == ("False", "Settling", "energy-1 was lost 2 times")
        assert said(of)[:2] == ("True", "Streaming")
        status = status_of(of, now=NOW)
        assert (status.shards[1].reason, status.shards[1].message) == ("Settling", "was lost 2 times")

    def test_what_a_streaming_worker_says_of_itself_is_shown(self) -> None:
        contested = worker(0, CONTRACTS[:2], reason="Competing", message="another login took the session once")
        status = status_of(situation(contested, worker(1, CONTRACTS[2:])), now=NOW)
        assert (status.shards[0].reason, status.shards[0].message) == (
            "Competing",
            "another login took the session once",
        )

    def test_a_container_that_died(self) -> None:
        pod = Pod(name="energy-1", worker=1, uid="p", died_of="OOMKilled")
        of = situation(worker(0, CONTRACTS), replace(worker(1, health=STARTING), pod=pod))
        assert said(of)[2].endswith(
            "energy-1: its container does not run: it died of OOMKilled;"
            " if it happens again, raise spec.worker.resources.limits.memory"
        )

    def test_a_pod_that_waits_for_its_volume(self) -> None:
        pod = Pod(name="energy-0", worker=0, uid="p", waiting_reason="ContainerCreating")
        with_ca = feed(extraCA={"name": "venue-ca"}, workers=1)
        of = situation(replace(worker(0, health=STARTING), pod=pod), of=with_ca)
        assert "check that ConfigMap venue-ca is there" in said(of)[2]

    def test_who_leaves_is_not_missed(self) -> None:
        leaving = worker(2, health=WorkerHealth(state=Health.LOST, reason="its pod is being deleted"))
        status = status_of(situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:]), leaving), now=NOW)
        ready = status.condition(Condition.READY)
        assert ready is not None
        assert ready.status == "True"
        assert status.workers_summary == "2/2"
        assert status.replicas == 3

    def test_contracts_on_hold(self) -> None:
        of = good(on_hold=True)
        truth, reason, message = said(of, Condition.REBALANCING)
        assert (truth, reason) == ("False", "Stable")
        assert "contracts stay where they are" in message

    def test_trouble_of_our_own(self) -> None:
        of = good(trouble="PATCH …/energy-0: 500: etcd is full")
        assert said(of) == ("False", "ReconcileFailed", "PATCH …/energy-0: 500: etcd is full")


class TestUniverse:
    def problem(self, trouble: RootProblemKind, message: str = "") -> StatusInput:
        problem = RootProblem(root="XX", kind=trouble, message=message)
        return good(universe=Universe(contracts=CONTRACTS, problems=(problem,), resolved=True))

    def test_an_unknown_root_is_named_and_the_others_go_on(self) -> None:
        of = self.problem(RootProblemKind.UNKNOWN)
        expected = "IB does not know root XX: correct its symbol in spec.roots"
        assert said(of, Condition.UNIVERSE_RESOLVED) == ("False", "UnknownRoot", expected)
        assert said(of) == ("False", "UnknownRoot", expected)
        assert said(of, Condition.COVERED)[0] == "True"

    @pytest.mark.parametrize(
        ("trouble", "truth", "reason"),
        [
            (RootProblemKind.SHRANK, "False", "UniverseShrank"),
            (RootProblemKind.FAILED, "False", "ResolveFailed"),
            (RootProblemKind.WAITING, "Unknown", "WaitingForWorker"),
        ],
    )
    def test_other_troubles(self, trouble: RootProblemKind, truth: str, reason: str) -> None:
        assert said(self.problem(trouble), Condition.UNIVERSE_RESOLVED)[:2] == (truth, reason)
        assert "XX" in said(self.problem(trouble), Condition.UNIVERSE_RESOLVED)[2]

    def test_a_root_that_was_not_asked_for_yet_is_not_ready(self) -> None:
        waiting = RootProblem(root="RB", kind=RootProblemKind.WAITING)
        universe = Universe(contracts=CONTRACTS, problems=(waiting,), resolved=False)
        of = replace(situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:])), universe=universe)
        assert said(of, Condition.COVERED)[0] == "True"
        assert said(of) == ("False", "Progressing", "RB waits for a worker that can ask IB")

    def test_the_resolver_knows_better_what_to_say(self) -> None:
        of = self.problem(RootProblemKind.FAILED, "worker energy-0 answered 502.")
        assert said(of, Condition.UNIVERSE_RESOLVED)[2] == "worker energy-0 answered 502"

    def test_all_roots_unknown(self) -> None:
        problem = RootProblem(root="CL", kind=RootProblemKind.UNKNOWN)
        of = situation(worker(0), worker(1), universe=Universe(problems=(problem,), resolved=True))
        assert said(of)[1] == "UnknownRoot"
        assert said(of, Condition.COVERED)[:2] == ("False", "NotPublishing")


class TestAccounts:
    def test_a_missing_secret(self) -> None:
        text = "Secret paper is missing in namespace markets; create it with the keys username-1 and password-1"
        of = situation(*(backing_off(i, Reason.CREDENTIALS_MISSING, text) for i in range(2)))
        assert said(of, Condition.ACCOUNTS_AVAILABLE) == ("False", "CredentialsMissing", f"energy-0, energy-1: {text}")
        assert said(of) == ("False", "CredentialsMissing", f"0/2 workers streaming; energy-0, energy-1: {text}")

    @pytest.mark.parametrize("reason", [Reason.VAULT_DENIED, Reason.VAULT_UNREACHABLE, Reason.WRONG_CREDENTIALS])
    def test_what_a_worker_says_of_its_account(self, reason: Reason) -> None:
        of = situation(worker(0, CONTRACTS), backing_off(1, reason, "do this"))
        assert said(of, Condition.ACCOUNTS_AVAILABLE) == ("False", str(reason), "energy-1: do this")

    def test_a_gateway_s_trouble_is_none_of_the_account(self) -> None:
        of = situation(worker(0, CONTRACTS), backing_off(1, Reason.GATEWAY_BROKEN, "do this"))
        assert said(of, Condition.ACCOUNTS_AVAILABLE)[0] != "False"

    def test_no_account_is_left(self) -> None:
        held = AccountLease(name="ib-account-paper-3", source="paper", index=3, holder="equity-0_x")
        of = situation(worker(0, CONTRACTS), worker(1, account=False, health=STARTING), leases=(held,))
        truth, reason, message = said(of, Condition.ACCOUNTS_AVAILABLE)
        assert (truth, reason) == ("False", "TooFewAccounts")
        assert message == (
            "no account is left for energy-1: the source paper offers 1 to 3 (account 3 is in use by equity-0);"
            " add accounts and raise spec.accounts.count, or ask for fewer workers"
        )
        assert "energy-1: no account is left for it" in said(of)[2]
        assert status_of(of, now=NOW).shards_summary == "energy-0→1:4 energy-1→-:0"

    def test_a_parked_account_is_named_even_when_every_worker_has_another(self) -> None:
        parked = AccountLease(
            name="ib-account-paper-3",
            source="paper",
            index=3,
            failed=3,
            parked="WrongCredentials",
            last_failure="Invalid username password combination",
        )
        truth, reason, message = said(good(leases=(parked,)), Condition.ACCOUNTS_AVAILABLE)
        assert (truth, reason) == ("False", "AccountParked")
        assert message == (
            "account 3 is parked (WrongCredentials: Invalid username password combination);"
            " check username-3 and password-3 in Secret paper, then clear it: kubectl -n markets annotate"
            " lease/ib-account-paper-3 ibfeed.dev/parked- ibfeed.dev/failed-logins- ibfeed.dev/next-login-"
        )
        assert said(good(leases=(parked,)))[0] == "True"

    def test_a_parked_account_tells_since_when_why_and_what_next(self) -> None:
        said_texts = (
            Said(at=NOW, text="Invalid credentials"),
            Said(at=NOW, text="Invalid username password combination"),
        )
        again = datetime(2026, 11, 21, 14, tzinfo=UTC)
        history = History(parked_since=datetime(2026, 11, 21, 12, tzinfo=UTC), try_again_at=again, said=said_texts)
        parked = AccountLease(
            name="ib-account-paper-3", source="paper", index=3, failed=3, parked="WrongCredentials", history=history
        )
        assert said(good(leases=(parked,)), Condition.ACCOUNTS_AVAILABLE)[2] == (
            'account 3 is parked since 2026-11-21 12:00 UTC (WrongCredentials: "Invalid credentials",'
            ' "Invalid username password combination"); a worker that needs it tries it again from 2026-11-21 14:00 UTC'
            " on; check username-3 and password-3 in Secret paper, then clear it: kubectl -n markets annotate"
            " lease/ib-account-paper-3 ibfeed.dev/parked- ibfeed.dev/failed-logins- ibfeed.dev/next-login-"
        )

    def trouble(self, **more: Any) -> AccountLease:
        settings = feed().spec.for_worker.login_settings
        values: dict[str, Any] = {
            "reason": "SecondFactorAsked",
            "text": "the login asks for a second factor",
            "since": datetime(2026, 11, 21, 12, 1, tzinfo=UTC),
            "accounts": {5: NOW, 2: NOW},
            "settings": settings,
            "next_probe": datetime(2026, 11, 21, 12, 6, tzinfo=UTC),
            **more,
        }
        return AccountLease(name="ib-account-paper-logins", source="paper", index=-1, troubles=(PageTrouble(**values),))

    def test_a_page_that_fails_for_several_is_named_as_the_page(self) -> None:
        waiting = [backing_off(index, Reason.LOGIN_PAGE_TROUBLE, "waiting for the page") for index in (0, 1)]
        of = situation(*waiting, leases=(self.trouble(),))
        truth, reason, message = said(of, Condition.ACCOUNTS_AVAILABLE)
        assert (truth, reason) == ("False", "LoginPageTrouble")
        assert message == (
            "IB's login page fails for accounts 2, 5 alike since 2026-11-21 12:01 UTC (SecondFactorAsked: \"the login"
            ' asks for a second factor"): no other account is used, and none is parked; the next try is at 2026-11-21'
            " 12:06 UTC. It ends by itself with the first login that passes; if these accounts alone are meant, check"
            " them, and have all tried at once: kubectl -n markets annotate lease/ib-account-paper-logins"
            " ibfeed.dev/page-trouble-"
        )
        assert said(of)[1] == "LoginPageTrouble"

    def test_trouble_in_ibs_own_reset_is_told_as_ibs(self) -> None:
        waiting = [backing_off(index, Reason.LOGIN_TIMEOUT, "the page never answered") for index in (0, 1)]
        ours, ibs = situation(*waiting), situation(*waiting, closure=closure_at(Region.AMERICA, NIGHT))
        assert said(ibs)[:2] == said(ours)[:2] == ("False", "LoginTimeout")
        assert said(ibs)[2] == f"IB's daily reset of sessions goes on until 06:15 UTC (01:15 EST); {said(ours)[2]}"

    def test_trouble_of_our_own_in_ibs_reset_stays_ours(self) -> None:
        waiting = [backing_off(index, Reason.WRONG_CREDENTIALS, "correct them") for index in (0, 1)]
        ours, ibs = situation(*waiting), situation(*waiting, closure=closure_at(Region.AMERICA, NIGHT))
        assert said(ibs) == said(ours)

    @pytest.mark.parametrize("change", [{"ended": NOW}, {"accounts": {2: NOW}}, {"settings": "other"}])
    def test_a_trouble_that_is_over_single_or_of_others_is_none(self, change: dict[str, Any]) -> None:
        of = situation(
            worker(0, CONTRACTS), backing_off(1, Reason.SECOND_FACTOR, "do this"), leases=(self.trouble(**change),)
        )
        assert said(of, Condition.ACCOUNTS_AVAILABLE) == ("False", "SecondFactorAsked", "energy-1: do this")

    def test_a_trouble_of_the_page_is_none_while_all_stream(self) -> None:
        assert said(good(leases=(self.trouble(),)), Condition.ACCOUNTS_AVAILABLE)[0] == "True"

    def test_another_session_of_our_own_is_named(self) -> None:
        taken = replace(backing_off(1, Reason.COMPETING, "another session has it"), rival="desk-b/rates-0")
        of = situation(worker(0, CONTRACTS), taken)
        expected = (
            "energy-1: another session has it; worker desk-b/rates-0 has an account with the same user: give one of"
            " them another"
        )
        assert said(of, Condition.ACCOUNTS_AVAILABLE) == ("False", "Competing", expected)

    def test_who_has_the_accounts_of_a_vault_elsewhere_is_named(self) -> None:
        elsewhere = {1: "in use by desk-b/rates-0", 2: "parked in namespace desk-c"}
        of = situation(worker(0, CONTRACTS), worker(1, account=False, health=STARTING), elsewhere=elsewhere)
        message = said(of, Condition.ACCOUNTS_AVAILABLE)[2]
        assert "(account 1 is in use by desk-b/rates-0, account 2 is parked in namespace desk-c)" in message

    def test_a_spare_account_that_was_refused_is_mentioned(self) -> None:
        refused = AccountLease(name="ib-account-paper-3", source="paper", index=3, failed=1, last_failure="Invalid")
        truth, _, message = said(good(leases=(refused,)), Condition.ACCOUNTS_AVAILABLE)
        assert truth == "True"
        assert message == (
            '2 of 2 workers hold an account; account 3 was refused ("Invalid")'
            " and is tried again when a worker needs it"
        )

    def test_a_parked_account_outside_the_range_is_another_feed_s(self) -> None:
        parked = AccountLease(name="ib-account-paper-9", source="paper", index=9, parked="WrongCredentials")
        assert said(good(leases=(parked,)), Condition.ACCOUNTS_AVAILABLE)[0] == "True"

    def test_not_yet_held(self) -> None:
        waiting = replace(worker(1, health=STARTING, session=Session.WAITING_FOR_ACCOUNT), lease=None)
        of = situation(worker(0, CONTRACTS), waiting)
        assert said(of, Condition.ACCOUNTS_AVAILABLE) == (
            "Unknown",
            "Progressing",
            "1 of 2 workers hold an account",
        )


class TestKafkaAndData:
    @pytest.mark.parametrize(
        ("reported", "reason"),
        [("NotEnoughReplicas", "NotEnoughReplicas"), ("", "Unreachable"), ("New", "Unreachable")],
    )
    def test_the_cause_is_the_reason_and_nothing_is_added(self, reported: str, reason: str) -> None:
        down = KafkaStatus(reachable=False, reason=reported, message="1 of 12 partitions has too few replicas in sync")
        of = situation(worker(0, CONTRACTS[:2], kafka=down), worker(1, CONTRACTS[2:]))
        text = "energy-0 cannot publish: 1 of 12 partitions has too few replicas in sync"
        assert said(of, Condition.KAFKA_REACHABLE) == ("False", reason, text)
        assert said(of)[1] == reason

    def test_workers_with_one_cause_share_a_sentence(self) -> None:
        down = KafkaStatus(reachable=False, reason="BootstrapUnreachable", message="kafka:9092 refuses connections")
        other = KafkaStatus(reachable=False, reason="TlsFailed", message="the certificate has expired")
        of = situation(worker(0, kafka=down), worker(1, kafka=other), worker(2, kafka=down))
        message = said(of, Condition.KAFKA_REACHABLE)[2]
        assert message == (
            "energy-0, energy-2 cannot publish: kafka:9092 refuses connections; "
            "energy-1 cannot publish: the certificate has expired"
        )

    def test_who_is_cut_off_alone_is_told_apart(self) -> None:
        down = KafkaStatus(reachable=False, reason="BootstrapUnreachable", message="kafka:9092 refuses connections")
        alone = WorkerHealth(state=Health.STREAMING, kafka=KafkaAccess.CUT_OFF)
        of = situation(worker(0, kafka=down, health=alone), worker(1, CONTRACTS))
        message = said(of, Condition.KAFKA_REACHABLE)[2]
        assert message.endswith("kafka:9092 refuses connections; others can, and go on with what it had")

    @pytest.mark.parametrize("kafka", [None, KafkaStatus(), KafkaStatus(message="connecting to kafka:9092")])
    def test_before_anything_was_tried_nothing_is_known(self, kafka: KafkaStatus | None) -> None:
        of = situation(worker(0, kafka=kafka), worker(1, kafka=kafka))
        assert said(of, Condition.KAFKA_REACHABLE)[:2] == ("Unknown", "WaitingForWorker")

    def test_a_streaming_worker_that_has_not_tried_leaves_it_open(self) -> None:
        of = situation(worker(0, CONTRACTS), worker(1, kafka=KafkaStatus()))
        assert said(of, Condition.KAFKA_REACHABLE) == ("Unknown", "WaitingForWorker", "not tried yet by energy-1")

    def test_a_starting_worker_that_has_not_tried_changes_nothing(self) -> None:
        of = situation(worker(0, CONTRACTS), worker(1, kafka=KafkaStatus(), health=STARTING))
        assert said(of, Condition.KAFKA_REACHABLE)[0] == "True"

    def test_a_record_that_was_too_large_is_mentioned(self) -> None:
        remark = KafkaStatus(reachable=True, reason="MessageTooLarge", message="a record was left out")
        of = situation(worker(0, CONTRACTS, kafka=remark), worker(1))
        truth, reason, message = said(of, Condition.KAFKA_REACHABLE)
        assert (truth, reason) == ("True", "Reachable")
        assert message == "records are acknowledged by kafka:9092; a record was left out"

    def test_records_of_contracts_that_fail_are_told_but_stop_nothing(self) -> None:
        trouble = "records of contracts cannot be written to topic contracts: denied"
        of = situation(worker(0, CONTRACTS[:2]), worker(1, CONTRACTS[2:], reference=trouble))
        assert said(of, Condition.KAFKA_REACHABLE) == (
            "True",
            "Reachable",
            f"records are acknowledged by kafka:9092; but energy-1 says: {trouble}",
        )
        assert said(of)[0] == "True"

    def test_a_dead_worker_s_word_does_not_count(self) -> None:
        down = KafkaStatus(reachable=False)
        dead = replace(worker(0, kafka=down, health=WorkerHealth(state=Health.LOST, reason="gone")), pod=None)
        assert said(situation(dead, worker(1, CONTRACTS)), Condition.KAFKA_REACHABLE)[0] == "True"

    def test_delayed_data(self) -> None:
        of = situation(worker(0, CONTRACTS[:2], market_data_live=False), worker(1, CONTRACTS[2:]))
        truth, reason, message = said(of, Condition.MARKET_DATA_LIVE)
        assert (truth, reason) == ("False", "NotLive")
        assert message.startswith("energy-0 (account 1) gets delayed or frozen data: subscribe")
        assert said(of)[1] == "NotLive"

    def test_a_market_that_has_said_nothing_yet(self) -> None:
        quiet = situation(
            worker(0, CONTRACTS[:2], market_data_live=None), worker(1, CONTRACTS[2:], market_data_live=None)
        )
        assert said(quiet, Condition.MARKET_DATA_LIVE)[0] == "Unknown"
        assert said(quiet)[0] == "True"


class TestSuspended:
    def test_workers_are_logging_out(self) -> None:
        of = good(of=feed(suspend=True))
        assert said(of, Condition.SUSPENDED) == ("False", "Progressing", "2 workers still logging out")
        assert said(of) == ("False", "Suspended", "suspended")

    def test_all_are_logged_out(self) -> None:
        gone = [replace(w, pod=None, health=WorkerHealth(state=Health.ABSENT)) for w in good().workers]
        of = situation(*gone, of=feed(suspend=True))
        assert said(of, Condition.SUSPENDED)[:2] == ("True", "Suspended")
        assert said(of, Condition.COVERED)[:2] == ("False", "Suspended")
        assert said(of, Condition.ACCOUNTS_AVAILABLE)[:2] == ("Unknown", "Suspended")
        status = status_of(of, now=NOW)
        assert (status.workers_summary, status.replicas, status.assigned_count) == ("0/2", 0, 4)


class TestBounds:
    def crowd(self) -> StatusInput:
        many = tuple(
            msgspec.structs.replace(CONTRACTS[0], conid=1000 + i, slot=i, symbol=f"A{i}")
            for i in range(feed_status.MAX_CONTRACTS + 500)
        )
        workers = tuple(
            worker(i, many[i * 7 : i * 7 + 7], session=Session.BACKING_OFF, health=STARTING, message="é" * 2000)
            for i in range(200)
        )
        missing = tuple(
            Unassigned(conid=c.conid, symbol=c.symbol, reason=UnassignedReason.CAPACITY) for c in many[1400:]
        ) + tuple(Unassigned(conid=c.conid, symbol=c.symbol, reason=UnassignedReason.MOVING) for c in many[:200])
        big = feed(workers=200, accounts=SPEC["accounts"] | {"count": 200, "first": 99999})
        universe = Universe(contracts=many, resolved=True)
        return situation(*workers, of=big, unassigned=missing, universe=universe, trouble="x" * 5000)

    def test_a_large_feed_s_status_fits_the_schema_and_says_what_it_left_out(self) -> None:
        status = status_of(self.crowd(), now=NOW)
        assert status.truncated
        assert status.contract_count == feed_status.MAX_CONTRACTS + 500
        assert status.assigned_count == 1400
        validate(manifest(status))

    def test_every_status_here_fits_the_schema(self) -> None:
        for of in (good(), situation(), good(of=feed(suspend=True)), situation(worker(0, account=False))):
            validate(manifest(status_of(of, now=NOW)))


def validate(status: dict[str, Any]) -> None:
    document = yaml.safe_load((ROOT / "crds" / "ibfeeds.yaml").read_text())
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    Draft202012Validator(schema).validate(status)


def test_a_spec_that_cannot_be_read_leaves_the_rest_as_it_was() -> None:
    before = status_of(good(), now=NOW)
    after = status_of_invalid(before, generation=9, message="Expected `int`, got `str` - at `$.workers`", now=NOW)
    assert (after.observed_generation, after.contracts, after.shards) == (9, before.contracts, before.shards)
    conditions = {c.type: (c.status, c.reason) for c in after.conditions}
    assert conditions.pop("Ready") == ("False", "InvalidSpec")
    assert set(conditions.values()) == {("Unknown", "InvalidSpec")}
    validate(manifest(after))
