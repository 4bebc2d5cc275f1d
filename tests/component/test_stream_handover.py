"""Contracts go back and forth between two workers while the market moves: what a consumer of a real Kafka sees."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest
from aiohttp import web

from component.scripted_gateway import (
    Gateway,
    Worker,
    entry,
    full,
    now_ms,
    send,
    serving,
    smd,
    streaming,
    topics,
    working,
)
from component.test_stream_kafka import by_contract, read_all
from ibfeed_api.feed import Kafka
from ibfeed_api.records import epoch_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark, Report
from ibfeed_worker.stream import Timing

CONIDS = (640_000_001, 640_000_002, 640_000_003, 640_000_004)
PACE_S = 0.01
STEP_MS = 500
TIMING = Timing(overlap=8 * PACE_S)  # the market goes fifty times as fast as IB's
STANDBY, ACTIVE, RETIRING = EntryState


@dataclass
class Market:
    """The same for all accounts: an update of each contract every 10 ms, 500 ms further on IB's clock.

    ``phase_ms`` of an account: IB cuts each account's snapshots at other moments.
    """

    begin: int
    step: int = 0
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    running: bool = True

    async def run(self) -> None:
        while self.running:
            await asyncio.sleep(PACE_S)
            async with self.news:
                self.step += 1
                self.news.notify_all()

    def at(self, step: int, phase_ms: int) -> int:
        return self.begin + STEP_MS * step + phase_ms

    def price(self, step: int) -> str:
        return f"{step % 1000}.25"

    async def serve(self, gateway: Gateway, socket: web.WebSocketResponse, phase_ms: int) -> None:
        """One websocket: full frames to who subscribes, then what changes."""
        await gateway.greet(socket)
        subscribed: set[int] = set()
        heard, step = 0, self.step
        while True:
            while self.step == step:
                async with self.news:
                    await self.news.wait()
            for said in gateway.said[heard:]:
                command, _, rest = said.partition("+")
                conid = int(rest.partition("+")[0]) if command in ("smd", "umd") else 0
                if command == "smd":
                    subscribed.add(conid)
                    await send(socket, full(conid, self.at(step, phase_ms), self.price(step)))
                elif command == "umd":
                    subscribed.discard(conid)
            heard = len(gateway.said)
            while step < self.step:
                step += 1
                for conid in subscribed:
                    await send(socket, smd(conid, self.at(step, phase_ms), f31=self.price(step)))


class Side:
    """A worker, and the entries that the operator gives it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.entries: dict[int, Entry] = {}

    def put(self, conid: int, epoch: int, state: EntryState, mark: Mark | None = None) -> None:
        self.entries[conid] = msgspec.structs.replace(entry(conid, CONIDS.index(conid), epoch, state), mark=mark)
        self.worker.streamer.obey(tuple(self.entries.values()))

    def remove(self, conid: int) -> None:
        del self.entries[conid]
        self.worker.streamer.obey(tuple(self.entries.values()))

    async def reports(self, conid: int, epoch: int, state: ContractState) -> Mark | None:
        def there() -> Report | None:
            found = (r for r in self.worker.streamer.reports() if (r.conid, r.epoch, r.state) == (conid, epoch, state))
            return next(found, None)

        await self.worker.until(there, within=30)
        report = there()
        assert report is not None
        known = report.event_time is not None and report.seq is not None
        return Mark(event_time=report.event_time, seq=report.seq) if known else None  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def two_workers(kafka: Kafka, market: Market, phases: tuple[int, int]) -> AsyncIterator[tuple[Side, Side]]:
    async with contextlib.AsyncExitStack() as stack:
        sides = []
        for phase in phases:

            async def script(gateway: Gateway, socket: web.WebSocketResponse, phase_ms: int = phase) -> None:
                await market.serve(gateway, socket, phase_ms)

            _, link = await stack.enter_async_context(serving(script))
            worker = await stack.enter_async_context(working(kafka, TIMING))
            await worker.reachable()
            await stack.enter_async_context(streaming(worker, link))
            sides.append(Side(worker))
        clock = asyncio.create_task(market.run())
        try:
            yield sides[0], sides[1]
        finally:
            market.running = False
            await clock


async def move(conid: int, epoch: int, old: Side, new: Side, *, trust: bool, dice: random.Random) -> int:
    """One planned move, as the operator does it; the epoch that the contract has then. ``trust``: in the mark."""
    new.put(conid, epoch + 1, STANDBY)
    await new.reports(conid, epoch + 1, ContractState.WARM)
    old.put(conid, epoch, RETIRING)
    mark = await old.reports(conid, epoch, ContractState.RELEASED)
    await asyncio.sleep(dice.random() * 0.1)
    if dice.random() < 0.3:  # the new worker is lost: the move turns back
        new.remove(conid)
        old.put(conid, epoch + 2, ACTIVE, mark if trust else None)
        await old.reports(conid, epoch + 2, ContractState.PUBLISHING)
        return epoch + 2
    new.put(conid, epoch + 1, ACTIVE, mark if trust else None)
    await new.reports(conid, epoch + 1, ContractState.PUBLISHING)
    old.remove(conid)
    return epoch + 1


@pytest.mark.parametrize("trust", [True, False], ids=["the mark is handed over", "the mark is read from Kafka"])
@pytest.mark.parametrize("phases", [(0, 0), (0, 230)], ids=["common mode", "phased"])
async def test_moving_back_and_forth_loses_nothing_and_doubles_nothing(phases: tuple[int, int], trust: bool) -> None:
    rounds = 20
    market = Market(now_ms() - 40_000_000)
    dice = random.Random(7)
    epochs = dict.fromkeys(CONIDS, 1)

    async def wander(conid: int, sides: tuple[Side, Side]) -> None:
        for _ in range(rounds):
            old, new = sides if sides[0].entries.get(conid) else sides[::-1]
            epochs[conid] = await move(conid, epochs[conid], old, new, trust=trust, dice=dice)
            await asyncio.sleep(dice.random() * 0.1)

    with topics() as kafka:
        async with two_workers(kafka, market, phases) as sides:
            for conid in CONIDS:
                sides[0].put(conid, 1, ACTIVE)
                await sides[0].reports(conid, 1, ContractState.PUBLISHING)
            await asyncio.gather(*(wander(conid, sides) for conid in CONIDS))
            for side in sides:
                await side.worker.streamer.release()
        ticks = by_contract(read_all(kafka.topics.ticklast))
        gaps = [event.value for event in read_all(kafka.topics.feed_events) if event.value["kind"] == "gap"]
    assert set(ticks) == set(CONIDS)
    for records in ticks.values():
        times = [record.value["event_time"] for record in records]
        sequence = [record.value["seq"] for record in records]
        assert sequence == sorted(set(sequence))
        assert len({epoch_of(seq) for seq in sequence}) > rounds // 2
        assert times == sorted(set(times))
        assert max(after - before for before, after in pairwise(times)) < 2 * STEP_MS
        if phases == (0, 0):
            assert times == list(range(times[0], times[-1] + 1, STEP_MS))
    assert gaps == []


async def test_a_worker_that_dies_is_replaced_by_the_one_standing_by_without_a_loss() -> None:
    market = Market(now_ms() - 40_000_000)
    conid = CONIDS[0]
    with topics() as kafka:
        async with two_workers(kafka, market, (0, 0)) as (old, new):
            old.put(conid, 1, ACTIVE)
            await old.reports(conid, 1, ContractState.PUBLISHING)
            new.put(conid, 2, STANDBY)
            await new.reports(conid, 2, ContractState.WARM)
            await asyncio.sleep(0.3)
            old.remove(conid)  # it says nothing of how far it came
            await asyncio.sleep(0.5)
            new.put(conid, 2, ACTIVE)
            await new.reports(conid, 2, ContractState.PUBLISHING)
            await asyncio.sleep(0.3)
            await new.worker.streamer.release()
        records = read_all(kafka.topics.ticklast)
        gaps = [event.value for event in read_all(kafka.topics.feed_events) if event.value["kind"] == "gap"]
    times = [record.value["event_time"] for record in records]
    assert times == list(range(times[0], times[-1] + 1, STEP_MS))
    assert {record.headers["epoch"] for record in records} == {"1", "2"}
    assert gaps == []


async def test_a_worker_that_dies_without_one_standing_by_leaves_a_gap_with_its_bounds() -> None:
    market = Market(now_ms() - 40_000_000)
    conid = CONIDS[0]
    with topics() as kafka:
        async with two_workers(kafka, market, (0, 0)) as (old, new):
            old.put(conid, 1, ACTIVE)
            await old.reports(conid, 1, ContractState.PUBLISHING)
            await asyncio.sleep(0.2)
            old.remove(conid)
            await asyncio.sleep(0.3)
            new.put(conid, 2, ACTIVE)
            await new.reports(conid, 2, ContractState.PUBLISHING)
            await new.worker.streamer.release()
        records = read_all(kafka.topics.ticklast)
        gaps = [event.value for event in read_all(kafka.topics.feed_events) if event.value["kind"] == "gap"]
    times = {epoch: [r.value["event_time"] for r in records if r.headers["epoch"] == epoch] for epoch in ("1", "2")}
    assert [(gap["from_ms"], gap["to_ms"], gap["epoch"]) for gap in gaps] == [(times["1"][-1], times["2"][0], 2)]


async def test_a_contract_that_comes_back_before_its_subscription_ends_gets_a_full_frame() -> None:
    market = Market(now_ms() - 40_000_000)
    conid = CONIDS[0]
    with topics() as kafka:
        async with two_workers(kafka, market, (0, 0)) as (side, _):
            side.put(conid, 1, ACTIVE)
            await side.reports(conid, 1, ContractState.PUBLISHING)
            side.remove(conid)
            side.put(conid, 2, ACTIVE)
            streamer = side.worker.streamer
            await side.worker.until(lambda: epoch_of(streamer.reports()[0].seq or 0) == 2, within=20)
            await streamer.release()
