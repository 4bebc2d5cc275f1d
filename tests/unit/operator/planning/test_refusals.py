"""Which accounts IB has refused contracts, and for how long that is remembered."""

from __future__ import annotations

from ibfeed_api.shard import ContractState, EntryState
from ibfeed_operator.planning.handover_state import Holding
from ibfeed_operator.planning.refusals import MANY, REMEMBER_S, Refusals
from support.build import entry
from unit.operator.planning.test_handover import report

REFUSED, PUBLISHING = ContractState.REFUSED, ContractState.PUBLISHING


def holding(worker: int, *said: tuple[int, ContractState], epoch: int = 1, streaming: bool = True) -> Holding:
    """A worker with an entry for each contract, and what it says of each under ``epoch``."""
    return Holding(
        worker=worker,
        entries=tuple(entry(conid) for conid, _ in said),
        reports=tuple(report(conid, epoch, state) for conid, state in said),
        streaming=streaming,
    )


def test_a_refusal_is_remembered_after_the_entry_has_gone() -> None:
    refusals = Refusals()
    refusals.observe([holding(0, (7, REFUSED)), holding(1, (8, PUBLISHING))], 0.0)
    refusals.observe([holding(0), holding(1, (7, REFUSED))], REMEMBER_S - 1)
    assert refusals.by_contract() == {7: {0, 1}}
    refusals.observe([], REMEMBER_S)
    assert refusals.by_contract() == {7: {1}}


def test_a_standby_can_be_refused_too() -> None:
    refusals = Refusals()
    standby = Holding(worker=2, entries=(entry(7, state=EntryState.STANDBY),), reports=(report(7, 1, REFUSED),))
    refusals.observe([standby], 0.0)
    assert refusals.by_contract() == {7: {2}}


def test_what_ib_sends_is_not_refused_any_more() -> None:
    refusals = Refusals()
    refusals.observe([holding(0, (7, REFUSED))], 0.0)
    refusals.observe([holding(0, (7, PUBLISHING))], 1.0)
    assert refusals.by_contract() == {}


def test_an_old_report_and_a_lost_session_say_nothing() -> None:
    refusals = Refusals()
    refusals.observe([holding(0, (7, REFUSED), epoch=3), holding(1, (7, REFUSED), streaming=False)], 0.0)
    assert refusals.by_contract() == {}


def test_an_account_that_has_refused_many_is_full() -> None:
    refusals = Refusals()
    refusals.observe([holding(0, *((conid, REFUSED) for conid in range(1, MANY)))], 0.0)
    assert refusals.full() == frozenset()
    refusals.observe([holding(0, *((conid, REFUSED) for conid in range(1, MANY + 1)))], 1.0)
    assert refusals.full() == {0}
