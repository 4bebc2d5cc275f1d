"""Whether a contract that is between two workers counts as covered."""

from __future__ import annotations

import msgspec
import pytest

from ibfeed_api.shard import ContractState, EntryState, Report
from ibfeed_operator.model.types import Health, Worker, WorkerHealth
from ibfeed_operator.status.coverage import HAND_OVER_S, coverage, handed_over
from support.build import entry, shard

ACTIVE, STANDBY, RETIRING = EntryState.ACTIVE, EntryState.STANDBY, EntryState.RETIRING
SUBSCRIBING, WARM = ContractState.SUBSCRIBING, ContractState.WARM
PUBLISHING, RELEASED = ContractState.PUBLISHING, ContractState.RELEASED

Side = tuple[EntryState, int, ContractState, int]  # entry's state and epoch, report's state and epoch


def worker(index: int, side: Side | None, health: Health = Health.STREAMING) -> Worker:
    entries = (entry(7, epoch=side[1], state=side[0]),) if side else ()
    reports = (Report(conid=7, epoch=side[3], state=side[2]),) if side else ()
    return Worker(index=index, health=WorkerHealth(state=health), shard=shard(index, *entries, contracts=reports))


RELEASED_AT_A: Side = (RETIRING, 3, RELEASED, 3)


@pytest.mark.parametrize(
    ("heir", "handed"),
    [
        pytest.param((STANDBY, 4, WARM, 4), True, id="warm, not told yet"),
        pytest.param((ACTIVE, 4, WARM, 4), True, id="told, not obeyed yet"),
        pytest.param((ACTIVE, 4, SUBSCRIBING, 4), True, id="publishing, not acknowledged yet"),
        pytest.param((ACTIVE, 4, PUBLISHING, 4), False, id="done"),
        pytest.param((STANDBY, 4, SUBSCRIBING, 4), False, id="cold"),
        pytest.param((STANDBY, 4, WARM, 2), False, id="warm under another epoch"),
        pytest.param((ACTIVE, 4, RELEASED, 2), False, id="said nothing of this epoch"),
        pytest.param((ACTIVE, 2, SUBSCRIBING, 2), False, id="an older assignment"),
        pytest.param(None, False, id="nobody"),
    ],
)
def test_heir(heir: Side | None, handed: bool) -> None:
    assert handed_over([worker(0, RELEASED_AT_A), worker(1, heir)]) == ({7} if handed else set())


@pytest.mark.parametrize(
    ("old", "health", "handed"),
    [
        pytest.param(RELEASED_AT_A, Health.LEAVING, True, id="about to stop"),
        pytest.param(RELEASED_AT_A, Health.LOST, False, id="lost, with what it held"),
        pytest.param((RETIRING, 3, PUBLISHING, 3), Health.STREAMING, False, id="still publishing"),
        pytest.param((RETIRING, 3, RELEASED, 2), Health.STREAMING, False, id="released another time"),
        pytest.param(None, Health.STREAMING, False, id="nobody: a loss, not a hand-over"),
    ],
)
def test_predecessor(old: Side | None, health: Health, handed: bool) -> None:
    assert handed_over([worker(0, old, health), worker(1, (ACTIVE, 4, SUBSCRIBING, 4))]) == ({7} if handed else set())


def test_heir_that_does_not_stream_is_none() -> None:
    assert handed_over([worker(0, RELEASED_AT_A), worker(1, (ACTIVE, 4, WARM, 4), Health.LOST)]) == set()


def test_it_is_covered_for_so_long_and_never_counts_as_published() -> None:
    workers = [worker(0, RELEASED_AT_A), worker(1, (ACTIVE, 4, SUBSCRIBING, 4))]
    assert coverage(workers, {7: HAND_OVER_S - 0.1}).covers(7)
    assert not coverage(workers, {7: HAND_OVER_S}).covers(7)
    assert not coverage(workers, {}).covers(7)
    assert not coverage(workers, {7: 0.0}).publishing(7)


def test_a_hot_standby_is_no_move_and_no_owner() -> None:
    """Worker 0 has the contract; 1 and 2 hold it ready, of which only 2 would go on at once."""
    hot = [
        shard(
            index,
            msgspec.structs.replace(entry(7, epoch=3 + index, state=STANDBY), hot=True),
            contracts=(Report(conid=7, epoch=3 + index, state=state),),
        )
        for index, state in ((1, SUBSCRIBING), (2, WARM))
    ]
    workers = [
        worker(0, (ACTIVE, 3, PUBLISHING, 3)),
        *(
            Worker(index=index, health=WorkerHealth(state=Health.STREAMING), shard=found)
            for index, found in enumerate(hot, 1)
        ),
    ]
    found = coverage(workers, {})
    assert (found.owners, found.moving, found.standbys, found.warm) == ({7: 0}, frozenset(), {7: 2}, frozenset({7}))
    assert found.epochs == {7: 5}
    released = worker(0, RELEASED_AT_A)
    assert handed_over([released, *workers[1:]]) == frozenset()
    lost = Worker(index=2, health=WorkerHealth(state=Health.LOST), shard=hot[1])
    assert (coverage([*workers[:2], lost], {}).standbys, coverage([lost], {}).warm) == ({7: 1}, frozenset())
