"""When records of contracts are written, over a Kafka that is played; hours of it take no time."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import httpx
import msgspec
import pytest

from ibfeed_api.feed import Topic
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.publish.broker import Broker, BrokerError
from ibfeed_worker.publish.table import Row
from ibfeed_worker.reference import Reference
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.pacing import Budget
from support.clock import run
from unit.worker.reference.test_record import ENTRY

HOURS = Hours.of([Span(1_795_129_200.0, 1_795_212_000.0)])
TODAY = datetime.now(UTC).date()


def entry(conid: int, state: EntryState = EntryState.ACTIVE, **more: Any) -> Entry:
    return msgspec.structs.replace(ENTRY, conid=conid, symbol=f"SI{conid}", state=state, last_trading_day="", **more)


@dataclass
class Table:
    """The topic; ``history`` is what was written to it."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    history: list[tuple[int, dict[str, Any] | None]] = field(default_factory=list)
    reads: int = 0
    down: str = ""
    provided: list[bool] = field(default_factory=list)

    def provide_table(self, topic: Topic, *, create: bool) -> None:
        self.provided.append(create)
        if self.down:
            raise BrokerError(self.down)

    def read_table(self, topic: Topic) -> Mapping[bytes, bytes]:
        self.reads += 1
        return dict(self.rows)

    def write_table(self, topic: Topic, rows: Sequence[Row]) -> None:
        if self.down:
            raise BrokerError(self.down)
        for partition, key, value in rows:
            assert partition == int(key) % topic.partitions
            self.history.append((int(key), None if value is None else json.loads(value)))
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value


@dataclass
class Scene:
    table: Table = field(default_factory=Table)
    entries: list[Entry] = field(default_factory=lambda: [entry(1), entry(2)])
    hours: Hours = HOURS
    kinds: dict[int, str] = field(default_factory=lambda: {1: "RpB", 2: "RpB"})
    ours: bool = True
    increment: Any = 0.005
    asked: list[int] = field(default_factory=list)
    status: int = 200
    changes: int = 0

    def reference(self, worker: int = 0) -> Reference:
        def changed() -> None:
            self.changes += 1

        return Reference(
            feed="metals",
            worker=worker,
            topic=Topic(name="contracts", partitions=3),
            create=True,
            broker=lambda: cast("Broker", self.table),
            entries=lambda: self.entries,
            hours=lambda _: self.hours,
            kinds=lambda: self.kinds,
            may_write=lambda: self.ours,
            on_change=changed,
        )

    def rest(self) -> SessionClient:
        def answer(request: httpx.Request) -> httpx.Response:
            self.asked.append(int(request.url.path.split("/")[5]))
            return httpx.Response(self.status, json={"rules": {"increment": self.increment}})

        tls = PinnedTls(ssl.create_default_context(), "")
        return SessionClient("https://127.0.0.1:5000", tls, Budget(), Metrics(), httpx.MockTransport(answer))

    @property
    def written(self) -> list[int]:
        return [conid for conid, _ in self.table.history]


def play(scene: Scene, act: Callable[[Reference], Any], worker: int = 0) -> Reference:
    """The clock of the loop is the process's, too."""

    async def run_it() -> Reference:
        loop = asyncio.get_running_loop()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", loop.time)
            patch.setattr(asyncio, "to_thread", at_once)
            reference = scene.reference(worker)
            keeping = asyncio.create_task(reference.keep(scene.rest()))
            await act(reference)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            return reference

    return run(run_it())


async def at_once(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return call(*arguments, **named)


async def some_seconds(_: Reference) -> None:
    await asyncio.sleep(20)


def test_each_contract_has_a_record_and_only_one() -> None:
    scene = Scene()
    play(scene, some_seconds)
    assert scene.written == [1, 2]
    assert scene.table.history[0][1] is not None
    assert scene.table.history[0][1]["min_price_increment"] == 0.005
    assert scene.table.reads == 1
    assert scene.table.provided == [True]


def test_what_stands_by_or_retires_is_somebody_elses() -> None:
    scene = Scene(entries=[entry(1, EntryState.STANDBY), entry(2, EntryState.RETIRING)])
    play(scene, some_seconds)
    assert scene.written == []
    assert scene.asked == []


def test_a_change_is_written_and_nothing_else() -> None:
    scene = Scene()

    async def act(_: Reference) -> None:
        await asyncio.sleep(20)
        scene.kinds[2] = "DpB"
        await asyncio.sleep(20)

    play(scene, act)
    assert scene.written == [1, 2, 2]
    assert [value["timeliness"] for _, value in scene.table.history if value] == ["real_time", "real_time", "delayed"]


def test_who_takes_over_repeats_nothing() -> None:
    scene = Scene()
    play(scene, some_seconds)
    scene.kinds, scene.hours, scene.status = {}, Hours(), 404  # it knows nothing yet, and IB tells nothing
    play(scene, lambda _: asyncio.sleep(60), worker=1)
    assert scene.written == [1, 2]


def test_a_contract_that_comes_back_is_looked_up_again() -> None:
    scene = Scene()

    async def act(_: Reference) -> None:
        await asyncio.sleep(20)
        mine = scene.entries.pop()
        await asyncio.sleep(10)
        other = json.loads(scene.table.rows[b"2"])
        scene.table.rows[b"2"] = json.dumps({**other, "slot": 99}).encode()  # by whoever had it meanwhile
        scene.entries.append(mine)
        await asyncio.sleep(10)

    play(scene, act)
    assert scene.written == [1, 2, 2]
    assert scene.table.reads == 2


def test_what_ib_does_not_tell_is_waited_for_but_not_for_ever() -> None:
    scene = Scene(status=404)

    async def act(_: Reference) -> None:
        await asyncio.sleep(25)
        assert scene.written == []
        await asyncio.sleep(15)
        assert scene.written == [1, 2]
        assert scene.asked == [1, 2]
        scene.status = 200
        await asyncio.sleep(1900)  # asked for again
        assert scene.written == [1, 2, 1, 2]

    play(scene, act)


def test_ib_is_asked_once_for_each_contract_in_its_turn() -> None:
    scene = Scene(entries=[entry(conid) for conid in range(1, 21)])

    async def act(_: Reference) -> None:
        await asyncio.sleep(10)
        assert len(scene.asked) <= 10
        await asyncio.sleep(60)
        assert scene.asked == list(range(1, 21))

    play(scene, act)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_session_in_trouble_says_nothing_of_a_contract(status: int) -> None:
    scene = Scene(status=status, entries=[entry(1)])

    async def act(_: Reference) -> None:
        await asyncio.sleep(5)
        scene.status = 200
        await asyncio.sleep(1000 if status == 429 else 10)
        assert scene.written == [1]

    play(scene, act)


def test_trouble_is_named_tried_more_and_more_rarely_and_passes() -> None:
    scene = Scene()

    async def act(reference: Reference) -> None:
        scene.table.down = "kafka:9092: Broker: Topic authorization failed"
        await asyncio.sleep(600)
        assert reference.trouble == "topic contracts is not written: kafka:9092: Broker: Topic authorization failed"
        assert 4 <= len(scene.table.provided) <= 12
        scene.table.down = ""
        await asyncio.sleep(400)
        assert reference.trouble == ""
        assert scene.written == [1, 2]
        assert scene.changes == 2

    play(scene, act)


def test_a_defect_of_our_own_is_named_and_stops_nothing_else() -> None:
    scene = Scene()

    def broken() -> dict[int, str]:
        raise KeyError("spans")

    async def act(reference: Reference) -> None:
        reference._kinds = broken  # type: ignore[misc]
        await asyncio.sleep(20)
        assert "internal error (KeyError" in reference.trouble

    play(scene, act)


def test_nothing_is_written_while_the_account_is_not_ours() -> None:
    scene = Scene(ours=False)
    play(scene, some_seconds)
    assert scene.written == []


def test_contracts_that_are_long_over_are_taken_away_whoevers_they_were() -> None:
    scene = Scene(entries=[entry(1)], kinds={1: "RpB"})
    play(scene, some_seconds)
    row = json.loads(scene.table.rows[b"1"])
    for days in (1, 5, 6, 400):
        last = f"{TODAY - timedelta(days=days):%Y%m%d}"
        conid = 100 + days
        gone = {**row, "conid": conid, "last_trading_day": last, "feed": "of one that was deleted"}
        scene.table.rows[str(conid).encode()] = json.dumps(gone).encode()
    scene.table.rows[b"999"] = b"of somebody else"
    play(scene, lambda _: asyncio.sleep(100))
    assert sorted(conid for conid, value in scene.table.history if value is None) == [106, 500]
    assert set(scene.table.rows) == {b"1", b"101", b"105", b"999"}


def test_the_workers_of_a_feed_sweep_one_after_the_other() -> None:
    scene = Scene(entries=[])
    play(scene, lambda _: asyncio.sleep(50))
    assert scene.table.reads == 0
    play(scene, lambda _: asyncio.sleep(100))
    assert scene.table.reads == 1
    play(scene, lambda _: asyncio.sleep(100), worker=3)
    assert scene.table.reads == 1
    play(scene, lambda _: asyncio.sleep(7 * 3600))  # every six hours
    assert scene.table.reads == 3
