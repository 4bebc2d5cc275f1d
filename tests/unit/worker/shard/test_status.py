from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ibfeed_api.shard import ContractState, EntryState, KafkaStatus, Report, Session, ShardStatus
from ibfeed_worker.kube.client import KubeError
from ibfeed_worker.shard.status import is_awaited, patch, stamp
from ibfeed_worker.shard.watch import Shard, left_behind, parse
from ibfeed_worker.shard.writer import StatusWriter
from support.clock import run


def test_every_field_is_named_so_that_old_values_go() -> None:
    body = patch(ShardStatus(started_at="t", kafka=KafkaStatus(reachable=True)))["status"]
    assert body["reason"] == ""
    assert body["lastTickTime"] is None
    assert len(body["contracts"]) == 0
    assert body["kafka"] == {"reachable": True, "reason": "", "message": ""}
    assert body["reference"] == ""
    assert body["session"] == "Starting"
    assert body["observedGeneration"] == 0


def test_reports_leave_out_what_they_do_not_know() -> None:
    report = Report(conid=1, epoch=2, state=ContractState.SUBSCRIBING)
    (written,) = patch(ShardStatus(contracts=(report,)))["status"]["contracts"]
    assert written == {"conid": 1, "epoch": 2, "state": "subscribing"}


def test_stamp() -> None:
    assert stamp(0.5) == "1970-01-01T00:00:00.500Z"
    assert stamp(None) is None


class Store:
    def __init__(self) -> None:
        self.down = False
        self.written: list[tuple[float, dict[str, Any]]] = []

    async def patch_shard_status(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if self.down:
            raise KubeError("away")
        self.written.append((asyncio.get_running_loop().time(), body["status"]))
        return {}


def test_at_most_four_writes_a_second_and_the_last_word_counts() -> None:
    async def scene() -> None:
        store, state = Store(), {"message": ""}
        writer = StatusWriter(store, "energy-0", lambda: ShardStatus(message=state["message"]))
        task = asyncio.create_task(writer.run())
        for n in range(200):
            state["message"] = str(n)
            writer.poke()
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert len(store.written) <= 9
        assert store.written[-1][1]["message"] == "199"
        task.cancel()

    run(scene())


def test_a_change_is_written_at_once_and_moving_fields_each_ten_seconds() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        store = Store()
        state: dict[str, Any] = {"session": Session.STARTING}
        writer = StatusWriter(
            store, "energy-0", lambda: ShardStatus(session=state["session"], last_tick_time=stamp(loop.time()))
        )
        task = asyncio.create_task(writer.run())
        writer.poke()
        await asyncio.sleep(5)
        state["session"] = Session.STREAMING
        writer.poke()
        changed = loop.time()
        await asyncio.sleep(31)
        moments = [moment - changed for moment, _ in store.written]
        assert moments[1] < 0.05
        assert [round(moment) for moment in moments[2:]] == [10, 20, 31]
        task.cancel()

    run(scene())


def test_an_outage_of_the_api_server_is_outlasted() -> None:
    async def scene() -> None:
        store = Store()
        writer = StatusWriter(store, "energy-0", lambda: ShardStatus(message="here"))
        task = asyncio.create_task(writer.run())
        store.down = True
        writer.poke()
        await asyncio.sleep(60)
        store.down = False
        await asyncio.sleep(7)
        assert [status["message"] for _, status in store.written] == ["here"]
        task.cancel()

    run(scene())


SUBSCRIBING, WARM = ContractState.SUBSCRIBING, ContractState.WARM
PUBLISHING, RELEASED = ContractState.PUBLISHING, ContractState.RELEASED


def status(*contracts: tuple[int, int, ContractState]) -> ShardStatus:
    return ShardStatus(contracts=tuple(Report(conid=c, epoch=e, state=state) for c, e, state in contracts))


@pytest.mark.parametrize(
    ("before", "after", "awaited"),
    [
        pytest.param((), ((1, 5, SUBSCRIBING),), False, id="it has just come"),
        pytest.param(((1, 4, PUBLISHING),), ((1, 5, SUBSCRIBING),), False, id="it has come anew"),
        pytest.param(((1, 5, PUBLISHING),), (), False, id="it has gone"),
        pytest.param(((1, 5, SUBSCRIBING),), ((1, 5, SUBSCRIBING),), False, id="as before"),
        pytest.param(((1, 5, PUBLISHING),), ((1, 5, PUBLISHING), (2, 6, SUBSCRIBING)), False, id="beside another"),
        pytest.param((), ((1, 5, WARM),), True, id="warm"),
        pytest.param((), ((1, 5, PUBLISHING),), True, id="published"),
        pytest.param(((1, 4, PUBLISHING),), ((1, 5, PUBLISHING),), True, id="published under a new epoch"),
        pytest.param(((1, 5, PUBLISHING),), ((1, 5, RELEASED),), True, id="released"),
        pytest.param(((1, 5, PUBLISHING),), ((1, 5, SUBSCRIBING),), True, id="no longer published"),
        pytest.param(((1, 5, WARM),), ((1, 5, SUBSCRIBING),), True, id="no longer warm"),
    ],
)
def test_nobody_waits_to_hear_that_a_contract_has_come_or_gone(
    before: tuple[tuple[int, int, ContractState], ...],
    after: tuple[tuple[int, int, ContractState], ...],
    awaited: bool,
) -> None:
    assert is_awaited(status(*before), status(*after)) is awaited


@pytest.mark.parametrize(
    "change",
    [
        {"session": Session.RECONNECTING},
        {"reason": "Leaving"},
        {"message": "other"},
        {"account": 1},
        {"started_at": "later"},
        {"market_data_live": False},
        {"kafka": KafkaStatus(reachable=False)},
        {"reference": "no right"},
    ],
    ids=str,
)
def test_whatever_a_session_says_is_awaited(change: dict[str, Any]) -> None:
    assert is_awaited(ShardStatus(), ShardStatus(**change))


def test_an_epoch_that_is_waited_for_is_awaited_once() -> None:
    come = Report(conid=1, epoch=5, state=SUBSCRIBING)
    behind = Report(conid=1, epoch=5, state=SUBSCRIBING, kafka_epoch=5)
    for before in ((), (come,)):
        assert is_awaited(ShardStatus(contracts=before), ShardStatus(contracts=(behind,)))
    assert not is_awaited(ShardStatus(contracts=(behind,)), ShardStatus(contracts=(behind,)))


def test_what_moves_is_not_awaited() -> None:
    old = Report(conid=1, epoch=5, state=PUBLISHING, event_time=1, seq=1, last_tick_time="a")
    new = Report(conid=1, epoch=5, state=PUBLISHING, event_time=2, seq=2, last_tick_time="b")
    after = ShardStatus(contracts=(new,), last_tick_time="b", observed_generation=1)
    assert not is_awaited(ShardStatus(contracts=(old,), last_tick_time="a"), after)


async def written(contracts: list[tuple[int, int, ContractState]]) -> tuple[Store, StatusWriter, asyncio.Task[None]]:
    """A writer at work that has told of ``contracts`` a while ago."""
    store = Store()
    writer = StatusWriter(store, "energy-0", lambda: status(*contracts))
    task = asyncio.create_task(writer.run())
    writer.poke()
    await asyncio.sleep(5)
    return store, writer, task


def test_a_contract_that_comes_is_told_of_once_when_it_is_published() -> None:
    async def scene() -> None:
        contracts = [(1, 1, PUBLISHING)]
        store, writer, task = await written(contracts)
        contracts.append((2, 1, SUBSCRIBING))
        writer.poke()
        await asyncio.sleep(0.6)
        assert len(store.written) == 1
        contracts[1] = (2, 1, PUBLISHING)
        writer.poke()
        await asyncio.sleep(0.01)
        assert [len(told["contracts"]) for _, told in store.written] == [1, 2]
        task.cancel()

    run(scene())


def test_a_contract_that_is_not_published_within_two_seconds_is_told_of() -> None:
    async def scene() -> None:
        contracts = [(1, 1, PUBLISHING)]
        store, writer, task = await written(contracts)
        contracts.append((2, 1, SUBSCRIBING))
        come = asyncio.get_running_loop().time()
        for _ in range(30):  # whatever else goes on
            writer.poke()
            await asyncio.sleep(0.1)
        (_, second) = store.written
        assert 1.9 < second[0] - come < 2.1
        assert second[1]["contracts"][1]["state"] == "subscribing"
        task.cancel()

    run(scene())


def shard(*entries: tuple[int, int, EntryState], reported: dict[int, int]) -> Shard:
    facts = {"symbol": "CLZ6", "root": "CL", "slot": 0}
    return parse(
        {
            "metadata": {"generation": 3},
            "spec": {
                "feed": "energy",
                "worker": 0,
                "contracts": [{"conid": c, "epoch": e, "state": state, **facts} for c, e, state in entries],
            },
            "status": {
                "startedAt": "2026-11-21T10:00:00.000Z",
                "session": "Streaming",
                "contracts": [{"conid": c, "epoch": e, "state": "publishing"} for c, e in reported.items()],
            },
        }
    )


def test_what_an_earlier_process_reported_under_the_same_epoch_is_left_behind() -> None:
    active, standby, retiring = EntryState.ACTIVE, EntryState.STANDBY, EntryState.RETIRING
    found = shard(
        (1, 5, active), (2, 7, active), (3, 5, standby), (4, 5, retiring), reported=dict.fromkeys(range(1, 5), 5)
    )
    assert left_behind(found) == {1: 5, 4: 5}


def test_a_status_that_makes_no_sense_leaves_nothing_behind() -> None:
    found = parse({"metadata": {}, "spec": {"feed": "energy", "worker": 0}, "status": {"session": "Dreaming"}})
    assert left_behind(found) == {}
