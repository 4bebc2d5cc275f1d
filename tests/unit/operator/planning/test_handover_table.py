"""The hand-over's state machine as a table: each phase in which a move can be found, and each event that can meet it.

Worker A has the contract and B is to get it, unless the event says otherwise; C has nothing to do with it. A cell tells
all entries after one step. What must hold in any cell, whatever it says, is checked for each of them as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import pytest

from ibfeed_api.shard import ContractState, Entry, EntryState, Mark, Report
from ibfeed_operator.planning.handover import step
from ibfeed_operator.planning.handover_state import HandoverState, Holding, Phase
from unit.operator.planning.test_handover import entry, report, targets

A, B, C = 0, 1, 2
ACTIVE, STANDBY, RETIRING = EntryState.ACTIVE, EntryState.STANDBY, EntryState.RETIRING
SUBSCRIBING, WARM = ContractState.SUBSCRIBING, ContractState.WARM
PUBLISHING, RELEASED = ContractState.PUBLISHING, ContractState.RELEASED
MARK = Mark(event_time=9, seq=8)


@dataclass(frozen=True)
class State:
    """By worker its entry and what it has reported. Marks come with ``released``."""

    entries: dict[int, Entry]
    reports: dict[int, Report]


def state(**sides: tuple[EntryState, int, ContractState] | tuple[EntryState, int, ContractState, int]) -> State:
    """Entry's state and epoch, and what the worker reports: of that epoch, unless another one is given."""
    entries, reports = {}, {}
    for name, (entry_state, epoch, said, *other) in sides.items():
        worker = "abc".index(name)
        entries[worker] = entry(7, epoch, entry_state)
        reports[worker] = report(7, other[0] if other else epoch, said, (9, 8) if said is RELEASED else None)
    return State(entries, reports)


STATES: dict[Phase, State] = {
    Phase.UNPLACED: state(),
    Phase.ASSIGNED: state(a=(ACTIVE, 3, SUBSCRIBING, 2)),
    Phase.SETTLED: state(a=(ACTIVE, 3, PUBLISHING)),
    Phase.WARMING: state(a=(ACTIVE, 3, PUBLISHING), b=(STANDBY, 4, SUBSCRIBING)),
    Phase.WARM: state(a=(ACTIVE, 3, PUBLISHING), b=(STANDBY, 4, WARM)),
    Phase.WARM_EARLY: state(a=(ACTIVE, 3, RELEASED, 2), b=(STANDBY, 4, WARM)),
    Phase.RETIRING: state(a=(RETIRING, 3, PUBLISHING), b=(STANDBY, 4, WARM)),
    Phase.RELEASED: state(a=(RETIRING, 3, RELEASED), b=(STANDBY, 4, WARM)),
    Phase.ACTIVATED: state(a=(RETIRING, 3, RELEASED), b=(ACTIVE, 4, WARM)),
    Phase.TAKEN_OVER: state(a=(RETIRING, 3, RELEASED), b=(ACTIVE, 4, PUBLISHING)),
    Phase.TURNED_BACK: state(a=(ACTIVE, 5, PUBLISHING), b=(STANDBY, 4, WARM)),
    Phase.BREAKING: state(a=(RETIRING, 3, PUBLISHING)),
    Phase.BROKEN: state(a=(RETIRING, 3, RELEASED)),
    Phase.BOTH_RETIRED: state(a=(RETIRING, 3, RELEASED), b=(RETIRING, 4, PUBLISHING)),
    Phase.MOVING_ON: state(a=(RETIRING, 3, RELEASED), b=(ACTIVE, 4, PUBLISHING), c=(STANDBY, 5, WARM)),
}
EVENTS = (
    "same plan",
    "turned back",
    "to C",
    "expired",
    "A lost",
    "A replaced",
    "A leaving",
    "A leaving alone",
    "A without session",
    "A refused",
    "A silent",
    "B lost",
    "B cold",
    "B refused",
    "B replaced",
    "B leaving",
    "B without session",
    "B full",
    "A behind Kafka",
    "B behind Kafka",
    "epoch not remembered",
)


def meets(at: State, event: str) -> tuple[dict[int, Holding], dict[int, int | None], int]:
    """The holdings when ``event`` meets a state, where the contract shall be, and the highest epoch in the status."""
    holdings = {
        worker: Holding(
            worker=worker,
            entries=(at.entries[worker],) if worker in at.entries else (),
            reports=(at.reports[worker],) if worker in at.reports else (),
        )
        for worker in (A, B, C)
    }
    who, _, what = event.partition(" ")
    if who in ("A", "B"):
        worker = "AB".index(who)
        old = holdings[worker]
        own = at.entries.get(worker)
        holdings[worker] = {
            "lost": replace(old, silent=True),
            "replaced": replace(old, reports=(), ended={7: own.epoch} if own is not None else {}),
            "leaving": replace(old, leaving=True),
            "leaving alone": replace(old, leaving=True),
            "without session": replace(old, streaming=False),
            "cold": said(old, own, SUBSCRIBING),
            "refused": said(old, own, ContractState.REFUSED),
            "silent": said(old, own, ContractState.SILENT),
            # Its entry is Active to it, and Kafka has records of the contract up to epoch 20.
            "behind Kafka": replace(
                old,
                reports=(msgspec.structs.replace(report(7, own.epoch, SUBSCRIBING), kafka_epoch=20),) if own else (),
            ),
            "full": replace(old, lines=1 if worker in at.entries else 0),
        }[what]
    given_up = {"turned back": A, "A leaving alone": A, "to C": C, "B lost": C, "expired": None}
    return holdings, {7: given_up.get(event, B)}, 3 if event == "epoch not remembered" else 9


def said(old: Holding, own: Entry | None, what: ContractState) -> Holding:
    """IB does not send the worker the contract; what it has let go, it has let go all the same."""
    before = next(iter(old.reports), None)
    if own is None or (before is not None and before.state is RELEASED and what is not SUBSCRIBING):
        return old
    return replace(old, reports=(report(7, own.epoch, what),))


def after(at: State, event: str) -> dict[int, Entry]:
    holdings, where, remembered = meets(at, event)
    want = targets({conid: worker for conid, worker in where.items() if worker is not None}, highest_epoch=remembered)
    entries = {worker: holding.entries for worker, holding in holdings.items()}
    entries |= {rewrite.worker: rewrite.entries for rewrite in step(list(holdings.values()), want)}
    return {worker: mine[0] for worker, mine in entries.items() if mine}


def told(entries: dict[int, Entry]) -> str:
    """``!`` follows the epoch of an entry that has the mark of the last one to publish."""
    words = [
        f"{'ABC'[worker]} {item.state} {item.epoch}{'!' if item.mark == MARK else ''}"
        for worker, item in entries.items()
    ]
    return ", ".join(words) or "-"


TABLE: dict[Phase, dict[str, str]] = {
    Phase.UNPLACED: {
        "same plan": "B Active 10",
        "turned back": "A Active 10",
        "to C": "C Active 10",
        "expired": "-",
        "A lost": "B Active 10",
        "A replaced": "B Active 10",
        "A leaving": "B Active 10",
        "A leaving alone": "A Active 10",
        "A without session": "B Active 10",
        "A refused": "B Active 10",
        "A silent": "B Active 10",
        "B lost": "C Active 10",
        "B cold": "B Active 10",
        "B refused": "B Active 10",
        "B replaced": "B Active 10",
        "B leaving": "B Active 10",
        "B without session": "B Active 10",
        "B full": "-",
        "A behind Kafka": "B Active 10",
        "B behind Kafka": "B Active 10",
        "epoch not remembered": "B Active 4",
    },
    Phase.ASSIGNED: {
        "same plan": "A Active 3, B Standby 10",
        "turned back": "A Active 3",
        "to C": "A Active 3, C Standby 10",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3",
        "A replaced": "A Retiring 3",
        "A leaving": "A Active 3, B Standby 10",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3",
        "A refused": "A Active 3, B Standby 10",
        "A silent": "A Active 3, B Standby 10",
        "B lost": "A Active 3, C Standby 10",
        "B cold": "A Active 3, B Standby 10",
        "B refused": "A Active 3, B Standby 10",
        "B replaced": "A Active 3, B Standby 10",
        "B leaving": "A Active 3",
        "B without session": "A Active 3, B Standby 10",
        "B full": "A Active 3",
        "A behind Kafka": "A Active 21",
        "B behind Kafka": "A Active 3, B Standby 10",
        "epoch not remembered": "A Active 3, B Standby 4",
    },
    Phase.SETTLED: {
        "same plan": "A Active 3, B Standby 10",
        "turned back": "A Active 3",
        "to C": "A Active 3, C Standby 10",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3",
        "A replaced": "A Retiring 3",
        "A leaving": "A Active 3, B Standby 10",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3",
        "A refused": "A Active 3, B Standby 10",
        "A silent": "A Active 3, B Standby 10",
        "B lost": "A Active 3, C Standby 10",
        "B cold": "A Active 3, B Standby 10",
        "B refused": "A Active 3, B Standby 10",
        "B replaced": "A Active 3, B Standby 10",
        "B leaving": "A Active 3",
        "B without session": "A Active 3, B Standby 10",
        "B full": "A Active 3",
        "A behind Kafka": "A Active 21",
        "B behind Kafka": "A Active 3, B Standby 10",
        "epoch not remembered": "A Active 3, B Standby 4",
    },
    Phase.WARMING: {
        "same plan": "A Active 3, B Standby 4",
        "turned back": "A Active 3",
        "to C": "A Active 3, C Standby 10",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3, B Standby 4",
        "A replaced": "A Retiring 3, B Standby 4",
        "A leaving": "A Active 3, B Standby 4",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Standby 4",
        "A refused": "A Active 3, B Standby 4",
        "A silent": "A Active 3, B Standby 4",
        "B lost": "A Active 3, C Standby 10",
        "B cold": "A Active 3, B Standby 4",
        "B refused": "A Active 3, B Standby 4",
        "B replaced": "A Active 3, B Standby 4",
        "B leaving": "A Active 3, B Standby 4",
        "B without session": "A Active 3, B Standby 4",
        "B full": "A Active 3, B Standby 4",
        "A behind Kafka": "A Active 21, B Standby 4",
        "B behind Kafka": "A Active 21, B Standby 4",
        "epoch not remembered": "A Active 3, B Standby 4",
    },
    Phase.WARM: {
        "same plan": "A Retiring 3, B Standby 4",
        "turned back": "A Active 3",
        "to C": "A Active 3, C Standby 10",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3, B Standby 4",
        "A replaced": "A Retiring 3, B Standby 4",
        "A leaving": "A Retiring 3, B Standby 4",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Standby 4",
        "A refused": "A Retiring 3, B Standby 4",
        "A silent": "A Retiring 3, B Standby 4",
        "B lost": "A Active 3, C Standby 10",
        "B cold": "A Active 3, B Standby 4",
        "B refused": "A Active 3, B Standby 4",
        "B replaced": "A Active 3, B Standby 4",
        "B leaving": "A Active 3, B Standby 4",
        "B without session": "A Active 3, B Standby 4",
        "B full": "A Retiring 3, B Standby 4",
        "A behind Kafka": "A Active 21, B Standby 4",
        "B behind Kafka": "A Active 21, B Standby 4",
        "epoch not remembered": "A Retiring 3, B Standby 4",
    },
    Phase.WARM_EARLY: {
        "same plan": "A Active 3, B Standby 4",
        "turned back": "A Active 3",
        "to C": "A Active 3, C Standby 10",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3, B Standby 4",
        "A replaced": "A Retiring 3, B Standby 4",
        "A leaving": "A Active 3, B Standby 4",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Standby 4",
        "A refused": "A Active 3, B Standby 4",
        "A silent": "A Active 3, B Standby 4",
        "B lost": "A Active 3, C Standby 10",
        "B cold": "A Active 3, B Standby 4",
        "B refused": "A Active 3, B Standby 4",
        "B replaced": "A Active 3, B Standby 4",
        "B leaving": "A Active 3, B Standby 4",
        "B without session": "A Active 3, B Standby 4",
        "B full": "A Active 3, B Standby 4",
        "A behind Kafka": "A Active 21, B Standby 4",
        "B behind Kafka": "A Active 21, B Standby 4",
        "epoch not remembered": "A Active 3, B Standby 4",
    },
    Phase.RETIRING: {
        "same plan": "A Retiring 3, B Standby 4",
        "turned back": "A Retiring 3",
        "to C": "A Retiring 3",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3, B Active 4",
        "A replaced": "A Retiring 3, B Standby 4",
        "A leaving": "A Retiring 3, B Standby 4",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Standby 4",
        "A refused": "A Retiring 3, B Standby 4",
        "A silent": "A Retiring 3, B Standby 4",
        "B lost": "A Retiring 3",
        "B cold": "A Retiring 3, B Standby 4",
        "B refused": "A Retiring 3, B Standby 4",
        "B replaced": "A Retiring 3, B Standby 4",
        "B leaving": "A Retiring 3, B Standby 4",
        "B without session": "A Retiring 3, B Standby 4",
        "B full": "A Retiring 3, B Standby 4",
        "A behind Kafka": "A Retiring 3, B Standby 4",
        "B behind Kafka": "A Retiring 3, B Standby 4",
        "epoch not remembered": "A Retiring 3, B Standby 4",
    },
    Phase.RELEASED: {
        "same plan": "A Retiring 3, B Active 4!",
        "turned back": "A Active 10!",
        "to C": "A Active 10!",
        "expired": "-",
        "A lost": "A Retiring 3, B Active 4!",
        "A replaced": "A Retiring 3, B Standby 4",
        "A leaving": "A Retiring 3, B Active 4!",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Active 4!",
        "A refused": "A Retiring 3, B Active 4!",
        "A silent": "A Retiring 3, B Active 4!",
        "B lost": "A Active 10!",
        "B cold": "A Active 10!, B Standby 4",
        "B refused": "A Active 10!, B Standby 4",
        "B replaced": "A Active 10!, B Standby 4",
        "B leaving": "A Retiring 3, B Standby 4",
        "B without session": "A Active 10!, B Standby 4",
        "B full": "A Retiring 3, B Active 4!",
        "A behind Kafka": "A Retiring 3, B Standby 4",
        "B behind Kafka": "A Active 21!, B Standby 4",
        "epoch not remembered": "A Retiring 3, B Active 4!",
    },
    Phase.ACTIVATED: {
        "same plan": "A Retiring 3, B Active 4",
        "turned back": "A Standby 10, B Active 4",
        "to C": "A Retiring 3, B Active 4, C Standby 10",
        "expired": "A Retiring 3, B Retiring 4",
        "A lost": "B Active 4",
        "A replaced": "A Retiring 3, B Active 4",
        "A leaving": "A Retiring 3, B Active 4",
        "A leaving alone": "A Retiring 3, B Active 4",
        "A without session": "B Active 4",
        "A refused": "A Retiring 3, B Active 4",
        "A silent": "A Retiring 3, B Active 4",
        "B lost": "A Retiring 3, B Retiring 4",
        "B cold": "A Retiring 3, B Active 4",
        "B refused": "A Retiring 3, B Active 4",
        "B replaced": "A Retiring 3, B Active 10",
        "B leaving": "A Retiring 3, B Retiring 4",
        "B without session": "A Retiring 3, B Active 4",
        "B full": "A Retiring 3, B Active 4",
        "A behind Kafka": "A Retiring 3, B Active 21",
        "B behind Kafka": "A Retiring 3, B Active 21",
        "epoch not remembered": "A Retiring 3, B Active 4",
    },
    Phase.TAKEN_OVER: {
        "same plan": "B Active 4",
        "turned back": "A Standby 10, B Active 4",
        "to C": "B Active 4, C Standby 10",
        "expired": "B Retiring 4",
        "A lost": "B Active 4",
        "A replaced": "A Retiring 3, B Active 4",
        "A leaving": "B Active 4",
        "A leaving alone": "A Retiring 3, B Active 4",
        "A without session": "B Active 4",
        "A refused": "B Active 4",
        "A silent": "B Active 4",
        "B lost": "A Retiring 3, B Retiring 4",
        "B cold": "A Retiring 3, B Active 4",
        "B refused": "A Retiring 3, B Active 4",
        "B replaced": "A Retiring 3, B Active 10",
        "B leaving": "B Retiring 4",
        "B without session": "B Active 4",
        "B full": "B Active 4",
        "A behind Kafka": "A Retiring 3, B Active 21",
        "B behind Kafka": "A Retiring 3, B Active 21",
        "epoch not remembered": "B Active 4",
    },
    Phase.TURNED_BACK: {
        "same plan": "A Active 5, B Standby 10",
        "turned back": "A Active 5",
        "to C": "A Active 5, C Standby 10",
        "expired": "A Retiring 5",
        "A lost": "A Retiring 5, B Standby 4",
        "A replaced": "A Retiring 5, B Standby 4",
        "A leaving": "A Active 5, B Standby 10",
        "A leaving alone": "A Retiring 5",
        "A without session": "A Retiring 5, B Standby 4",
        "A refused": "A Active 5, B Standby 10",
        "A silent": "A Active 5, B Standby 10",
        "B lost": "A Active 5, C Standby 10",
        "B cold": "A Active 5, B Standby 10",
        "B refused": "A Active 5, B Standby 10",
        "B replaced": "A Active 5, B Standby 10",
        "B leaving": "A Active 5, B Standby 4",
        "B without session": "A Active 5, B Standby 10",
        "B full": "A Active 5, B Standby 10",
        "A behind Kafka": "A Active 21, B Standby 4",
        "B behind Kafka": "A Active 21, B Standby 4",
        "epoch not remembered": "A Active 5, B Standby 6",
    },
    Phase.BREAKING: {
        "same plan": "A Retiring 3",
        "turned back": "A Retiring 3",
        "to C": "A Retiring 3",
        "expired": "A Retiring 3",
        "A lost": "A Retiring 3, B Active 10",
        "A replaced": "A Retiring 3",
        "A leaving": "A Retiring 3",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3",
        "A refused": "A Retiring 3",
        "A silent": "A Retiring 3",
        "B lost": "A Retiring 3",
        "B cold": "A Retiring 3",
        "B refused": "A Retiring 3",
        "B replaced": "A Retiring 3",
        "B leaving": "A Retiring 3",
        "B without session": "A Retiring 3",
        "B full": "A Retiring 3",
        "A behind Kafka": "A Retiring 3",
        "B behind Kafka": "A Retiring 3",
        "epoch not remembered": "A Retiring 3",
    },
    Phase.BROKEN: {
        "same plan": "A Active 10!",
        "turned back": "A Active 10!",
        "to C": "A Active 10!",
        "expired": "-",
        "A lost": "A Retiring 3, B Active 10!",
        "A replaced": "A Retiring 3",
        "A leaving": "A Retiring 3, B Active 10!",
        "A leaving alone": "A Retiring 3",
        "A without session": "A Retiring 3, B Active 10!",
        "A refused": "A Active 10!",
        "A silent": "A Active 10!",
        "B lost": "A Active 10!",
        "B cold": "A Active 10!",
        "B refused": "A Active 10!",
        "B replaced": "A Active 10!",
        "B leaving": "A Retiring 3",
        "B without session": "A Active 10!",
        "B full": "-",
        "A behind Kafka": "A Retiring 3",
        "B behind Kafka": "A Active 10!",
        "epoch not remembered": "A Active 4!",
    },
    Phase.BOTH_RETIRED: {
        "same plan": "A Retiring 3, B Retiring 4",
        "turned back": "A Retiring 3, B Retiring 4",
        "to C": "A Retiring 3, B Retiring 4",
        "expired": "B Retiring 4",
        "A lost": "A Retiring 3, B Retiring 4",
        "A replaced": "A Retiring 3, B Retiring 4",
        "A leaving": "A Retiring 3, B Retiring 4",
        "A leaving alone": "A Retiring 3, B Retiring 4",
        "A without session": "A Retiring 3, B Retiring 4",
        "A refused": "A Retiring 3, B Retiring 4",
        "A silent": "A Retiring 3, B Retiring 4",
        "B lost": "A Active 10, B Retiring 4",
        "B cold": "A Retiring 3, B Retiring 4",
        "B refused": "A Retiring 3, B Retiring 4",
        "B replaced": "A Retiring 3, B Retiring 4",
        "B leaving": "A Retiring 3, B Retiring 4",
        "B without session": "A Retiring 3, B Active 10",
        "B full": "A Retiring 3, B Retiring 4",
        "A behind Kafka": "A Retiring 3, B Retiring 4",
        "B behind Kafka": "A Retiring 3, B Retiring 4",
        "epoch not remembered": "A Retiring 3, B Retiring 4",
    },
    Phase.MOVING_ON: {
        "same plan": "B Active 4",
        "turned back": "A Standby 10, B Active 4",
        "to C": "B Retiring 4, C Standby 5",
        "expired": "B Retiring 4",
        "A lost": "B Active 4",
        "A replaced": "A Retiring 3, B Active 4",
        "A leaving": "B Active 4",
        "A leaving alone": "A Retiring 3, B Active 4",
        "A without session": "B Active 4",
        "A refused": "B Active 4",
        "A silent": "B Active 4",
        "B lost": "B Retiring 4, C Standby 5",
        "B cold": "A Retiring 3, B Active 4",
        "B refused": "A Retiring 3, B Active 4",
        "B replaced": "A Retiring 3, B Active 10",
        "B leaving": "B Retiring 4",
        "B without session": "B Active 4",
        "B full": "B Active 4",
        "A behind Kafka": "A Retiring 3, B Active 21",
        "B behind Kafka": "A Retiring 3, B Active 21",
        "epoch not remembered": "B Active 4, C Standby 5",
    },
}


def test_table_is_complete() -> None:
    assert set(TABLE) == set(STATES) == set(Phase)
    assert all(tuple(cells) == EVENTS for cells in TABLE.values())


@pytest.mark.parametrize("at", Phase)
def test_each_state_is_in_its_phase(at: Phase) -> None:
    holdings, _, _ = meets(STATES[at], "same plan")
    target = C if at is Phase.MOVING_ON else B
    assert HandoverState(list(holdings.values())).phase(7, target) is at


@pytest.mark.parametrize(
    ("at", "event", "expected"), [(at, *cell) for at, row in TABLE.items() for cell in row.items()]
)
def test_each_phase_and_event(at: Phase, event: str, expected: str) -> None:
    assert told(after(STATES[at], event)) == expected


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("at", STATES)
def test_what_holds_in_every_cell(at: Phase, event: str) -> None:
    before = STATES[at]
    holdings, _, remembered = meets(before, event)
    entries = after(before, event)
    active = [worker for worker, item in entries.items() if item.state is ACTIVE]
    assert len(active) <= 1
    for worker, item in entries.items():
        old = before.entries.get(worker)
        if old is not None and (old.epoch, old.state) != (item.epoch, item.state):
            assert item.epoch >= old.epoch, "an epoch only grows"
        if old is None or item.epoch > old.epoch:
            others = [other.epoch for other in before.entries.values()]
            assert item.epoch > max([remembered, *others]), "a new epoch is above all there are, and were"
        if item.mark is not None:
            assert any(said.state is RELEASED for said in before.reports.values())
    for worker in active:
        newly = worker not in before.entries or before.entries[worker].state is not ACTIVE
        for other, old in before.entries.items():
            if newly and other != worker and old.state is not STANDBY:
                said = next(iter(holdings[other].reports), None)
                let_go = said is not None and said.state is RELEASED and said.epoch == old.epoch
                assert holdings[other].silent or (let_go and old.state is RETIRING), "it was still publishing"
    gone = before.entries.keys() - entries.keys()
    newest = max((item.epoch for item in entries.values()), default=0)
    assert all(max(newest, remembered) >= before.entries[worker].epoch for worker in gone), "its epoch is forgotten"
