"""Workers that cannot publish: whose contracts move, and whose stay."""

from __future__ import annotations

from typing import Any

import pytest

from ibfeed_api.feed import Accounts, SecretRef
from ibfeed_api.shard import (
    KAFKA_LOOK_S,
    KAFKA_PAUSE_S,
    ContractState,
    Entry,
    EntryState,
    KafkaStatus,
    Mark,
    Report,
    Session,
)
from ibfeed_operator.liveness.diagnosis import Observation
from ibfeed_operator.liveness.publishing import GRACE_S, RETURN_S, Publishing
from ibfeed_operator.liveness.tracker import LivenessTracker, Verdict
from ibfeed_operator.model.types import (
    Health,
    KafkaAccess,
    PinProblem,
    Placement,
    UnassignedReason,
    Universe,
    WorkerHealth,
)
from ibfeed_operator.planning.assignment import Decision, decide
from ibfeed_operator.planning.handover import Targets, step
from ibfeed_operator.planning.handover_state import Holding
from support.build import contract, entry, feed, lease, pod, shard

PROVEN, UNPROVEN, CUT_OFF = KafkaAccess.PROVEN, KafkaAccess.UNPROVEN, KafkaAccess.CUT_OFF
DOWN = KafkaStatus(reachable=False, reason="BootstrapUnreachable")


class TestWhose:
    """Trouble of one worker's own is told from Kafka's by what the others can."""

    def access(self, *said: tuple[float, dict[int, bool]], of: int = 0) -> KafkaAccess:
        publishing = Publishing()
        for now, word in said:
            publishing.observe(word, now)
        return publishing.access(of, said[-1][0])

    def test_alone_for_long_enough_it_is_cut_off(self) -> None:
        alone = {0: False, 1: True}
        assert self.access((10.0, alone), (10.0 + GRACE_S - 0.1, alone)) is UNPROVEN
        assert self.access((10.0, alone), (10.0 + GRACE_S, alone)) is CUT_OFF

    def test_while_nobody_can_it_is_kafka(self) -> None:
        assert (
            self.access((10.0, {0: False, 1: True}), (11.0, {0: False, 1: False}), (99.0, {0: False, 1: False}))
            is UNPROVEN
        )

    def test_the_first_that_can_again_proves_nothing_of_the_others(self) -> None:
        """Kafka is back, and each worker notices at its next try: a move would lose what waits in them."""
        away, first = {0: False, 1: False}, {0: False, 1: True}
        back = ((10.0, away), (99.0, first))
        assert self.access(*back, (99.0 + RETURN_S - 0.1, first)) is UNPROVEN
        assert self.access(*back, (99.0 + RETURN_S, first)) is CUT_OFF
        assert RETURN_S > KAFKA_PAUSE_S + KAFKA_LOOK_S

    def test_who_can_again_is_believed_at_once(self) -> None:
        assert self.access((10.0, {0: False, 1: True}), (99.0, {0: True, 1: True})) is PROVEN

    def test_a_new_trouble_has_its_own_grace(self) -> None:
        said = [(10.0, {0: False, 1: True}), (11.0, {0: True, 1: True}), (12.0, {0: False, 1: True})]
        assert self.access(*said, (12.0 + GRACE_S - 0.1, {0: False, 1: True})) is UNPROVEN

    def test_the_only_worker_is_never_cut_off(self) -> None:
        assert self.access((10.0, {0: False}), (99.0, {0: False})) is UNPROVEN

    def test_who_cannot_take_part_does_not_count(self) -> None:
        """A worker without a session is not named, whatever it says of Kafka."""
        assert self.access((10.0, {0: False, 1: True}), (99.0, {0: False})) is UNPROVEN


def seen(worker: int, *conids: int, kafka: KafkaStatus | None = None, **status: Any) -> Observation:
    more = status if kafka is None else status | {"kafka": kafka}
    there = shard(worker, *(entry(conid) for conid in conids), **more)
    return Observation(index=worker, shard=there, pod=pod(worker), lease=lease(worker))


class TestLiveness:
    def assess(self, liveness: LivenessTracker, *observations: Observation, now: float) -> dict[int, WorkerHealth]:
        verdicts = liveness.assess({observation.index: observation for observation in observations}, now)
        return {index: verdict.health for index, verdict in verdicts.items()}

    @pytest.mark.parametrize("kafka", [DOWN, KafkaStatus()], ids=["cannot", "has not tried"])
    def test_a_worker_proves_kafka_before_it_counts(self, kafka: KafkaStatus) -> None:
        health = self.assess(LivenessTracker(), seen(0, 1), seen(1, kafka=kafka), now=0.0)
        assert (health[1].streaming, health[1].kafka, health[0].kafka) == (True, UNPROVEN, PROVEN)

    def test_who_is_cut_off_still_streams(self) -> None:
        liveness = LivenessTracker()
        self.assess(liveness, seen(0, 1, kafka=DOWN), seen(1, 2), now=0.0)
        health = self.assess(liveness, seen(0, 1, kafka=DOWN), seen(1, 2), now=GRACE_S)
        assert (health[0].state, health[0].kafka) == (Health.STREAMING, CUT_OFF)

    def test_a_look_is_due_when_the_grace_ends(self) -> None:
        liveness = LivenessTracker()
        there = {0: seen(0, 1, kafka=DOWN), 1: seen(1, 2)}
        liveness.assess(there, 100.0)
        assert liveness.next_change_s(there, 100.0) == GRACE_S

    def test_being_cut_off_counts_as_a_loss(self) -> None:
        """The first is forgiven, the second within the hour costs time."""
        liveness, now = LivenessTracker(), 0.0
        for _ in range(2):
            for kafka in (KafkaStatus(reachable=True), DOWN, DOWN, KafkaStatus(reachable=True)):
                health = self.assess(liveness, seen(0, 1, kafka=kafka), seen(1, 2), now=now)
                now += GRACE_S
        assert (health[0].kafka, bool(health[0].probation)) == (PROVEN, True)

    def test_nobody_is_relieved_to_log_in_while_kafka_is_away(self) -> None:
        due: dict[str, Any] = {"reason": "ReloginDue"}
        assert self.assess(LivenessTracker(), seen(0, 1, **due), seen(1, 2), now=0.0)[0].state is Health.LEAVING
        away = self.assess(LivenessTracker(), seen(0, 1, kafka=DOWN, **due), seen(1, 2, kafka=DOWN), now=0.0)
        assert away[0].state is Health.STREAMING

    def test_a_worker_without_session_is_judged_by_that(self) -> None:
        health = self.assess(
            LivenessTracker(), seen(0, 1, kafka=DOWN, session=Session.LOGGING_IN), seen(1, 2), now=99.0
        )
        assert health[0].kafka is PROVEN


SIX = [contract(conid, day=f"20270{conid}20", slot=conid) for conid in range(1, 7)]


def decided(
    access: dict[int, KafkaAccess], *held: tuple[int, ...], states: dict[int, Health] | None = None, **more: Any
) -> Decision:
    """``held``: by worker the conids that it has."""
    verdicts = {
        worker: Verdict(
            health=WorkerHealth(state=(states or {}).get(worker, Health.STREAMING), kafka=access.get(worker, PROVEN)),
            silent=False,
        )
        for worker in range(len(held))
    }
    holdings = [
        Holding(worker=worker, entries=tuple(entry(conid, day=f"20270{conid}20") for conid in conids))
        for worker, conids in enumerate(held)
    ]
    placement = more.pop("placement", None)
    of = feed(workers=len(held), **more)
    return decide(of, Universe(contracts=tuple(SIX), resolved=True), holdings, verdicts, placement=placement)


class TestDecide:
    def test_who_is_cut_off_loses_everything_to_those_who_can(self) -> None:
        owners = decided({0: CUT_OFF}, (1, 2, 3), (4, 5, 6)).targets.owners
        assert set(owners.values()) == {1}

    def test_what_nobody_else_has_a_line_for_stays(self) -> None:
        few = Accounts(secret_ref=SecretRef(name="paper"), count=10, lines_per_account=4)
        owners = decided({0: CUT_OFF}, (1, 2, 3), (4, 5, 6), accounts=few).targets.owners
        assert sorted(owners.values()) == [0, 0, 1, 1, 1, 1]

    def test_when_nobody_can_nothing_moves(self) -> None:
        decision = decided({0: UNPROVEN, 1: UNPROVEN}, (1, 2, 3, 4), (5, 6))
        assert decision.targets.owners == {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1}

    def test_when_nobody_can_a_lost_worker_keeps_what_it_has(self) -> None:
        decision = decided({1: UNPROVEN}, (1, 2, 3), (4, 5, 6), states={0: Health.LOST})
        assert decision.targets.owners == {1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: 1}

    def test_before_it_has_proven_kafka_a_worker_is_given_nothing(self) -> None:
        decision = decided({1: UNPROVEN}, (1, 2, 3, 4, 5, 6), ())
        assert set(decision.targets.owners.values()) == {0}

    def test_a_new_feed_waits_for_the_first_that_can(self) -> None:
        decision = decided({0: UNPROVEN, 1: UNPROVEN}, (), ())
        assert decision.targets.owners == {}
        assert set(decision.unassigned.values()) == {UnassignedReason.KAFKA}

    def test_within_the_grace_it_keeps_what_it_has(self) -> None:
        assert decided({0: UNPROVEN}, (1, 2, 3), (4, 5, 6)).targets.owners == {
            c: 0 if c < 4 else 1 for c in range(1, 7)
        }

    @pytest.mark.parametrize("access", [CUT_OFF, UNPROVEN])
    def test_a_pin_to_a_worker_that_cannot_publish_does_not_hold(self, access: KafkaAccess) -> None:
        decision = decided({0: access}, (), (1, 2, 3, 4, 5, 6), placement=Placement(pins={1: 0}))
        assert decision.targets.owners[1] == 1
        assert decision.unmet == {1: PinProblem.CANNOT_PUBLISH}


def test_a_move_from_a_cut_off_worker_makes_before_it_breaks() -> None:
    """It cannot flush, and reports `subscribing`; the heir is warm before it lets go, and gets no mark from it."""
    contracts = {1: contract(1)}
    targets = Targets(contracts=contracts, owners={1: 1}, highest_epoch=1)

    def at(worker: int, state: EntryState, epoch: int, said: ContractState | None, mark: Mark | None = None) -> Holding:
        report = Report(
            conid=1, epoch=epoch, state=said,
            event_time=mark.event_time if mark else None, seq=mark.seq if mark else None,
        ) if said else None  # fmt: skip
        there: Entry = entry(1, epoch=epoch, state=state)
        return Holding(worker=worker, entries=(there,), reports=(report,) if report else ())

    old = at(0, EntryState.ACTIVE, 1, ContractState.SUBSCRIBING)
    (standby,) = step([old, Holding(worker=1)], targets)
    assert (standby.worker, standby.entries[0].state) == (1, EntryState.STANDBY)
    assert step([old, at(1, EntryState.STANDBY, 2, ContractState.SUBSCRIBING)], targets) == ()
    warm = at(1, EntryState.STANDBY, 2, ContractState.WARM)
    (retiring,) = step([old, warm], targets)
    assert (retiring.worker, retiring.entries[0].state) == (0, EntryState.RETIRING)
    released = at(0, EntryState.RETIRING, 1, ContractState.RELEASED)
    (active,) = step([released, warm], targets)
    assert (active.worker, active.entries[0].state, active.entries[0].mark) == (1, EntryState.ACTIVE, None)
