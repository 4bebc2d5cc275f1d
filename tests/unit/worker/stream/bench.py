"""A feeder without a network, to be played with by hand."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from ibfeed_api.feed import Kafka
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark
from ibfeed_worker.publish import ReadSecrets, no_secrets
from ibfeed_worker.stream import Streamer, Timing
from ibfeed_worker.stream.frame import decode
from support import entries
from support.fake_broker import FakeBroker

OVERLAP_S = 0.03
FULL = {"31": "71.90", "7059": "3", "84": "71.89", "86": "71.91", "6509": "RB"}


def entry(
    conid: int = 7,
    epoch: int = 1,
    state: EntryState = EntryState.ACTIVE,
    mark: Mark | None = None,
    *,
    fresh: bool = False,
) -> Entry:
    facts: dict[str, Any] = {"symbol": "CLZ6", "contract_month": "202612", "slot": conid + 12}
    return entries.entry(conid, epoch=epoch, state=state, mark=mark, fresh=fresh, **facts)


async def begin(streamer: Streamer, *entries: Entry) -> None:
    """Give contracts that nobody had before, and wait until Kafka has been asked."""
    streamer.obey(tuple(msgspec.structs.replace(entry, fresh=True) for entry in entries))
    async with asyncio.timeout(20):
        while any(contract.waits_for_kafka for contract in streamer._contracts.values()):  # noqa: ASYNC110 - no event of it
            await asyncio.sleep(0.005)


class Bench:
    def __init__(
        self,
        broker: FakeBroker,
        left_behind: dict[int, int] | None = None,
        read_secrets: ReadSecrets = no_secrets,
    ) -> None:
        self.broker = broker
        self.changes = 0
        self.ours = True  # the account
        self.now = time.time_ns() // 1_000_000
        self.streamer = Streamer(
            worker="energy-0",
            feed="energy",
            kafka=Kafka(bootstrap_servers="kafka:9092"),
            lines=100,
            on_change=self._changed,
            may_write=lambda: self.ours,
            left_behind=left_behind,
            timing=Timing(overlap=OVERLAP_S),
            read_secrets=read_secrets,
            connect=broker.connect,
        )

    def _changed(self) -> None:
        self.changes += 1

    async def begin(self, *entries: Entry) -> None:
        await begin(self.streamer, *entries)

    def frame(self, fields: dict[str, Any], after_ms: int = 500, conid: int = 7, ago_s: float = 0.0) -> int:
        """``ago_s``: how long ago it came."""
        self.now += after_ms
        text = json.dumps({"topic": f"smd+{conid}", "conid": conid, "_updated": self.now, **fields})
        self.streamer.subscriber.on_smd(decode(text.encode()), time.time_ns() - int(ago_s * 1e9))
        return self.now

    def subscribe(self) -> None:
        self.streamer.subscriber.on_subscribed(self.streamer.subscriber.desired())

    def lose_connection(self) -> None:
        for contract in self.streamer._contracts.values():
            contract.disconnected()

    def state(self, conid: int = 7) -> ContractState | None:
        return next((report.state for report in self.streamer.reports() if report.conid == conid), None)

    async def warm(self) -> None:
        await self.until(lambda: self.state() is ContractState.WARM)

    def metric(self, name: str) -> float:
        """A sample without labels."""
        families = (*self.streamer.collector.collect(), *self.streamer.kafka_collector.collect())
        return next(sample.value for family in families for sample in family.samples if sample.name == name)

    async def until(self, ask: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not ask():  # noqa: ASYNC110 - what a test waits for has no event of its own
                await asyncio.sleep(0.005)
