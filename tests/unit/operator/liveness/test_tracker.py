from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from ibfeed_api.failsafe import LONGEST_S, Member
from ibfeed_api.lease import TAKEOVER_S
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_operator.kube.lease_age import LeaseObserver
from ibfeed_operator.liveness.diagnosis import Observation
from ibfeed_operator.liveness.tracker import HOLD_S, RELOGIN_GRACE_S, SESSION_GRACE_S, TOGETHER_S, LivenessTracker
from ibfeed_operator.model.types import Health
from support.build import STARTED, entry, lease, pod, shard


def well(worker: int, **more: Any) -> Observation:
    """A streaming worker that holds a contract; ``more`` replaces its pod, shard or lease."""
    facts: dict[str, Any] = {"shard": shard(worker, entry(worker)), "pod": pod(worker), "lease": lease(worker)}
    return Observation(index=worker, **(facts | more))


def without_session(worker: int, session: Session = Session.RECONNECTING) -> Observation:
    return well(worker, shard=shard(worker, entry(worker), session=session))


class TestOneWorker:
    def assess(self, observation: Observation, now: float = 0.0) -> Any:
        others = {9: well(9), 8: well(8), 7: well(7)}  # so that the loss of one is no mass loss
        return LivenessTracker().assess(others | {observation.index: observation}, now)[observation.index]

    @pytest.mark.parametrize("ended", ["", "2026-11-21T11:59:59+00:00"])
    def test_streams(self, ended: str) -> None:
        """Whatever became of an earlier process of it."""
        verdict = self.assess(replace(well(0), ended=ended))
        assert (verdict.health.state, verdict.silent) == (Health.STREAMING, False)

    @pytest.mark.parametrize(
        ("observation", "because"),
        [
            (well(0, pod=None), "no pod"),
            (well(0, pod=pod(0, container_running=False)), "does not run"),
            (well(0, pod=pod(0, container_running=False, waiting_reason="CrashLoopBackOff")), "CrashLoopBackOff"),
            (well(0, pod=pod(0, container_started_at=STARTED + timedelta(seconds=1))), "started again"),
            (replace(well(0), ended=STARTED.isoformat()), "its process has ended"),
            (well(0, lease=lease(0, age=TAKEOVER_S)), "no longer renews"),
        ],
    )
    def test_is_lost_at_once_and_silent(self, observation: Observation, because: str) -> None:
        verdict = self.assess(observation)
        assert (verdict.health.state, verdict.silent) == (Health.LOST, True)
        assert because in verdict.health.reason

    @pytest.mark.parametrize(
        "observation",
        [
            well(0, pod=pod(0, deleting=True), shard=shard(0, entry(0), session=Session.STOPPING)),
            well(0, pod=pod(0, deleting=True), lease=lease(0, holder="")),
            without_session(0, Session.PARKED),
            without_session(0, Session.WAITING_FOR_ACCOUNT),
            without_session(0, Session.STOPPING),
            well(0, lease=lease(0, holder="other-1_x")),
            well(0, lease=lease(0, holder="")),
            well(0, lease=None),
        ],
    )
    def test_is_lost_but_must_be_asked_to_let_go(self, observation: Observation) -> None:
        verdict = self.assess(observation)
        assert (verdict.health.state, verdict.silent) == (Health.LOST, False)

    @pytest.mark.parametrize(
        ("observation", "because"),
        [
            (well(0, pod=pod(0, deleting=True)), "its pod is being deleted"),
            (well(0, shard=shard(0, entry(0), reason="Leaving")), "told to stop"),
        ],
    )
    def test_that_is_told_to_stop_streams_until_it_is_relieved(self, observation: Observation, because: str) -> None:
        verdict = self.assess(observation)
        assert (verdict.health.state, verdict.silent) == (Health.LEAVING, False)
        assert because in verdict.health.reason

    def test_that_does_not_renew_and_may_go_on_is_neither_streaming_nor_silent(self) -> None:
        """Its Lease names members that have not been asked yet (``failsafe.py``)."""
        members = (Member(namespace="n", name="operator_u", address="10.0.0.1:8080", key="k"),)
        in_doubt = lease(0, age=TAKEOVER_S, members=members)
        verdict = self.assess(well(0, lease=in_doubt))
        assert (verdict.health.state, verdict.silent) == (Health.RETURNING, False)
        assert "its members do not say yet whether it goes on" in verdict.health.reason
        for lost in (replace(in_doubt, fenced=True), replace(in_doubt, renew_seen_age_s=LONGEST_S + TAKEOVER_S)):
            assert LivenessTracker().assess({0: well(0, lease=lost)}, 0.0)[0].silent

    def test_that_is_told_to_stop_and_dies_is_lost(self) -> None:
        verdict = self.assess(well(0, pod=pod(0, deleting=True, container_running=False)))
        assert (verdict.health.state, verdict.silent) == (Health.LOST, True)

    def test_process_of_the_same_second_as_its_container_is_the_present_one(self) -> None:
        fresh = shard(0, entry(0), started_at="2026-11-21T12:00:00.250000Z")
        assert self.assess(well(0, shard=fresh)).health.state is Health.STREAMING

    def test_without_contracts_it_is_on_its_way(self) -> None:
        idle = Observation(index=0, shard=shard(0, session=Session.LOGGING_IN), pod=pod(0), lease=lease(0))
        assert self.assess(idle).health.state is Health.STARTING

    def test_without_pod_and_contracts_it_is_absent(self) -> None:
        assert self.assess(Observation(index=0, shard=shard(0, session=None))).health.state is Health.ABSENT


class TestLostSession:
    def test_has_a_grace(self) -> None:
        liveness = LivenessTracker()
        observations = {0: without_session(0), 1: well(1), 2: well(2)}
        assert liveness.assess(observations, 100.0)[0].health.state is Health.RETURNING
        assert liveness.assess(observations, 100.0 + SESSION_GRACE_S - 0.1)[0].health.state is Health.RETURNING
        verdict = liveness.assess(observations, 100.0 + SESSION_GRACE_S)[0]
        assert (verdict.health.state, verdict.silent) == (Health.LOST, False)

    def test_each_loss_has_its_own_grace(self) -> None:
        liveness = LivenessTracker()
        others = {1: well(1), 2: well(2)}
        liveness.assess({0: without_session(0)} | others, 0.0)
        liveness.assess({0: well(0)} | others, 3.0)
        assert liveness.assess({0: without_session(0)} | others, 6.0)[0].health.state is Health.RETURNING

    def test_of_a_process_that_ended_has_none_however_soon_the_next_one_reports(self) -> None:
        liveness = LivenessTracker()
        others = {1: well(1), 2: well(2)}
        liveness.assess({0: well(0)} | others, 0.0)
        successor = shard(0, entry(0), session=Session.LOGGING_IN, started_at="2026-11-21T12:30:00Z")
        verdict = liveness.assess({0: well(0, shard=successor)} | others, 2.0)[0]
        assert (verdict.health.state, verdict.silent) == (Health.LOST, False)

    def test_of_a_container_seen_dead_has_none_when_it_runs_again(self) -> None:
        liveness = LivenessTracker()
        others = {1: well(1), 2: well(2)}
        liveness.assess({0: well(0, pod=pod(0, container_running=False))} | others, 0.0)
        assert liveness.assess({0: without_session(0, Session.LOGGING_IN)} | others, 2.0)[0].health.state is Health.LOST

    @pytest.mark.parametrize("reason", [Reason.COMPETING, Reason.GATEWAY_DIED, Reason.GATEWAY_SICK])
    def test_that_takes_longer_than_the_grace_to_mend_has_none(self, reason: Reason) -> None:
        liveness = LivenessTracker()
        others = {1: well(1), 2: well(2)}
        gone = shard(0, entry(0), session=Session.BACKING_OFF, reason=reason)
        assert liveness.assess({0: well(0, shard=gone)} | others, 0.0)[0].health.state is Health.LOST
        logging_in = without_session(0, Session.LOGGING_IN)
        assert liveness.assess({0: logging_in} | others, 1.0)[0].health.state is Health.LOST
        liveness.assess({0: well(0)} | others, 10.0)
        assert liveness.assess({0: without_session(0)} | others, 11.0)[0].health.state is Health.RETURNING

    def test_a_session_that_is_being_taken_back_keeps_its_contracts(self) -> None:
        liveness = LivenessTracker()
        contested = shard(0, entry(0), session=Session.RECONNECTING, reason=Reason.COMPETING)
        found = liveness.assess({0: well(0, shard=contested), 1: well(1), 2: well(2)}, 0.0)
        assert found[0].health.state is Health.RETURNING

    def test_of_most_is_held_and_stays_held_until_each_returns(self) -> None:
        liveness = LivenessTracker()
        down = {0: without_session(0), 1: without_session(1), 2: well(2)}
        liveness.assess(down, 0.0)
        assert all(liveness.assess(down, 60.0)[worker].held for worker in (0, 1))
        one = liveness.assess({0: well(0), 1: without_session(1), 2: well(2)}, 61.0)
        assert one[0].health.state is Health.STREAMING
        assert one[1].health.state is Health.RETURNING
        late = liveness.assess({0: well(0), 1: without_session(1), 2: well(2)}, 61.0 + TOGETHER_S)
        assert late[1].health.state is Health.LOST

    def test_of_most_is_held_for_ten_minutes_if_nobody_returns(self) -> None:
        liveness = LivenessTracker()
        down = {0: without_session(0), 1: without_session(1), 2: well(2)}
        liveness.assess(down, 0.0)
        assert liveness.assess(down, HOLD_S - 1)[0].held
        assert liveness.assess(down, HOLD_S)[0].health.state is Health.LOST

    def test_many_that_return_one_after_the_other_are_waited_for_until_the_last(self) -> None:
        liveness = LivenessTracker()
        observations = {worker: without_session(worker) for worker in range(100)}
        liveness.assess(observations, 0.0)
        for worker in range(99):
            observations[worker] = well(worker)
            verdicts = liveness.assess(observations, 100.0 + 2 * worker)
            assert all(verdicts[other].held for other in range(worker + 1, 100))
        assert liveness.assess(observations, 296.0 + TOGETHER_S - 1)[99].held
        assert liveness.assess(observations, 296.0 + TOGETHER_S)[99].health.state is Health.LOST

    def test_of_the_only_worker_is_held(self) -> None:
        liveness = LivenessTracker()
        liveness.assess({0: without_session(0)}, 0.0)
        assert liveness.assess({0: without_session(0)}, 60.0)[0].health.state is Health.RETURNING

    def test_a_parked_one_is_never_held(self) -> None:
        verdicts = LivenessTracker().assess({0: without_session(0, Session.PARKED), 1: without_session(1)}, 0.0)
        assert verdicts[0].health.state is Health.LOST
        assert verdicts[1].health.state is Health.RETURNING

    def test_workers_that_hold_nothing_make_no_mass(self) -> None:
        idle = Observation(index=3, shard=shard(3, session=Session.LOGGING_IN), pod=pod(3))
        starting = {worker: Observation(index=worker, shard=idle.shard, pod=idle.pod) for worker in (3, 4, 5)}
        liveness = LivenessTracker()
        observations = {0: without_session(0), 1: well(1)} | starting
        liveness.assess(observations, 0.0)
        assert liveness.assess(observations, 10.0)[0].health.state is Health.LOST


class TestAllDown:
    def test_the_first_one_back_leaves_the_others_their_contracts_for_a_minute(self) -> None:
        liveness = LivenessTracker()
        dead = {worker: well(worker, pod=pod(worker, container_running=False)) for worker in (0, 1, 2)}
        verdicts = liveness.assess(dead, 0.0)
        assert {verdict.health.state for verdict in verdicts.values()} == {Health.LOST}
        first = dead | {0: well(0), 1: without_session(1, Session.LOGGING_IN)}
        for now in (100.0, 100.0 + TOGETHER_S - 1):
            verdicts = liveness.assess(first, now)
            assert verdicts[0].health.state is Health.STREAMING
            assert all(verdicts[worker].health.state is Health.RETURNING for worker in (1, 2))
            assert verdicts[2].silent
        verdicts = liveness.assess(first, 100.0 + TOGETHER_S)
        assert verdicts[2].health.state is Health.LOST

    def test_two_of_three_that_die_are_lost_at_once(self) -> None:
        liveness = LivenessTracker()
        liveness.assess({worker: well(worker) for worker in (0, 1, 2)}, 0.0)
        dead = {worker: well(worker, pod=None) for worker in (1, 2)}
        verdicts = liveness.assess({0: well(0)} | dead, 1.0)
        assert all(verdicts[worker].health.state is Health.LOST for worker in (1, 2))

    def test_a_parked_one_is_not_waited_for(self) -> None:
        liveness = LivenessTracker()
        down = {0: without_session(0), 1: without_session(1, Session.PARKED), 2: without_session(2)}
        liveness.assess(down, 0.0)
        assert liveness.assess(down | {0: well(0)}, 1.0)[1].health.state is Health.LOST


def test_next_change_is_when_a_verdict_may_turn_by_itself() -> None:
    liveness = LivenessTracker()
    observations = {0: without_session(0), 1: well(1, lease=lease(1, age=9.0)), 2: well(2)}
    liveness.assess(observations, 50.0)
    assert liveness.next_change_s(observations, 50.0) == pytest.approx(1.0)


class TestLeaseObserver:
    def test_age_runs_from_the_last_change_seen(self) -> None:
        observer = LeaseObserver()
        assert observer.age("ns", "a", "1", 100.0) == 0.0
        assert observer.age("ns", "a", "1", 107.0) == 7.0
        assert observer.age("ns", "a", "2", 109.0) == 0.0
        assert observer.age("other", "a", "2", 109.0) == 0.0

    def test_forgotten_ones_start_anew(self) -> None:
        observer = LeaseObserver()
        observer.age("ns", "a", "1", 100.0)
        observer.forget("ns", "a")
        assert observer.age("ns", "a", "1", 120.0) == 0.0


def due(worker: int, *, home: tuple[int, ...] = ()) -> Observation:
    """It streams and would log in anew."""
    there = shard(worker, entry(worker), reason="ReloginDue")
    return well(worker, shard=replace(there, spec=msgspec.structs.replace(there.spec, home=home)))


def logging_in_anew(worker: int) -> Observation:
    return well(worker, shard=shard(worker, entry(worker), session=Session.LOGGING_IN, reason="ReloginDue"))


class TestScheduledLogins:
    def relieved(self, *observations: Observation) -> list[int]:
        verdicts = LivenessTracker().assess({observation.index: observation for observation in observations}, 0.0)
        assert all((verdict.health.state is Health.LEAVING) == verdict.relieved for verdict in verdicts.values())
        return [index for index, verdict in verdicts.items() if verdict.relieved]

    def test_one_after_the_other_is_relieved_and_the_others_stream_on(self) -> None:
        assert self.relieved(due(2), due(1), well(0)) == [1]
        assert self.relieved(due(0)) == [0], "nobody can take over: it need not wait"

    def test_who_has_lent_something_already_goes_first(self) -> None:
        assert self.relieved(due(0), due(1), due(2, home=(5,))) == [2]

    def test_nobody_while_another_logs_in_or_is_lost(self) -> None:
        assert self.relieved(due(0), logging_in_anew(1), well(2), well(3)) == []
        assert self.relieved(due(0), without_session(1), well(2), well(3)) == []

    def test_what_could_not_be_lent_stays_while_it_logs_in_and_costs_no_trust(self) -> None:
        liveness, others = LivenessTracker(), {1: well(1), 2: well(2)}
        assert liveness.assess(others | {0: logging_in_anew(0)}, 0.0)[0].health.state is Health.RETURNING
        late = RELOGIN_GRACE_S - 0.1
        assert liveness.assess(others | {0: logging_in_anew(0)}, late)[0].health.state is Health.RETURNING
        assert liveness.next_change_s(others, late) < 1.0
        assert liveness.assess(others | {0: logging_in_anew(0)}, RELOGIN_GRACE_S)[0].health.state is Health.LOST

    def test_it_is_renewing_until_everything_is_back_and_no_longer_than_a_login_may_take(self) -> None:
        def renews(observation: Observation, at: float, liveness: LivenessTracker) -> bool:
            return liveness.assess({0: observation, 1: well(1), 2: well(2)}, at)[0].health.renewing

        liveness = LivenessTracker()
        away = logging_in_anew(0)
        assert not renews(well(0), 0.0, liveness)
        assert renews(due(0), 1.0, liveness)
        assert renews(replace(away, shard=shard(0, session=Session.LOGGING_IN, reason="ReloginDue")), 2.0, liveness)
        assert renews(due(0, home=(5,)), 3.0, liveness)
        assert not renews(well(0), 4.0, liveness)
        assert not renews(without_session(0), 5.0, liveness)
        assert renews(away, 5.0 + RELOGIN_GRACE_S - 0.1, liveness)
        assert not renews(away, 5.0 + RELOGIN_GRACE_S, liveness)

    def test_one_of_two_is_no_mass_loss(self) -> None:
        liveness = LivenessTracker()
        verdicts = liveness.assess({0: logging_in_anew(0), 1: without_session(1, Session.PARKED)}, 0.0)
        assert not any(verdict.held for verdict in verdicts.values())
