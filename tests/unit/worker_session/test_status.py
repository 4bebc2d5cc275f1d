from __future__ import annotations

import asyncio
from typing import Any

from ibfeed_api.names import ContractState, EntryState, Session
from ibfeed_api.shard import KafkaStatus, Report, ShardStatus
from ibfeed_worker.kube.client import ApiError
from ibfeed_worker.shard.status import patch, stamp
from ibfeed_worker.shard.watch import Shard, left_behind, parse
from ibfeed_worker.shard.writer import StatusWriter
from support.clock import run


def test_every_field_is_named_so_that_old_values_go() -> None:
    body = patch(ShardStatus(started_at="t", kafka=KafkaStatus(reachable=True)))["status"]
    assert body["reason"] == ""
    assert body["lastTickTime"] is None
    assert len(body["contracts"]) == 0
    assert body["kafka"] == {"reachable": True, "message": ""}
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
            raise ApiError("away")
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
