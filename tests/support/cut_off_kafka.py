"""Two workers of one contract, of which the first is cut off from Kafka. ``unshare --net`` runs this program.

It needs a network namespace of its own. Each worker has its own listener at one broker, and both are sent the same
updates. The program plays the operator. It prints the updates that were sent and those that a reader finds, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from component.scripted_gateway import Worker, entry, topics
from component.test_stream_kafka import read_all
from ibfeed_api.feed import Kafka
from ibfeed_api.shard import ContractState, EntryState
from ibfeed_worker.publish import connect
from ibfeed_worker.stream.frame import decode
from support.broker import Broker, Listener

CONID = 640_000_001
TICK_S = 0.05
CUT_S = 20.0
AFTERWARDS_S = 30.0  # by then the kernel has sent all that it still had
QUOTE = {"31": "71.90", "7059": "3", "84": "71.89", "86": "71.91", "6509": "RB"}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)


def _cut(port: str, *, on: bool) -> None:
    for rule in (["OUTPUT", "-p", "tcp", "--dport", port], ["INPUT", "-p", "tcp", "--sport", port]):
        _run(["iptables", "-w", "-A" if on else "-D", *rule, "-j", "DROP"])


class Market:
    """A market that sends each update to every worker."""

    def __init__(self, *workers: Worker) -> None:
        self._workers = workers
        self.sent: list[int] = []
        self._now = time.time_ns() // 1_000_000 - 10_000_000

    async def run(self) -> None:
        while True:
            self._now += 500
            self.sent.append(self._now)
            price = f"{70 + len(self.sent) % 1000 / 100:.2f}"
            frame = {"topic": f"smd+{CONID}", "conid": CONID, "_updated": self._now, **QUOTE, "31": price}
            for worker in self._workers:
                worker.streamer.subscriber.on_smd(decode(json.dumps(frame).encode()), time.time_ns())
            await asyncio.sleep(TICK_S)


def _state(worker: Worker) -> ContractState:
    return worker.streamer.reports()[0].state


async def main(folder: Path) -> dict[str, Any]:
    _run(["ip", "link", "set", "lo", "up"])
    broker = Broker(folder, listeners={name: Listener("PLAINTEXT") for name in ("FIRST", "SECOND")})
    await broker.start()
    try:
        with topics(broker.servers) as kafka:
            return await _story(broker, kafka)
    finally:
        broker.kill()


async def _story(broker: Broker, kafka: Kafka) -> dict[str, Any]:
    def at(name: str) -> Kafka:
        return Kafka(bootstrap_servers=broker.at[name], topics=kafka.topics)

    first, second = (Worker(at(name), None, connect) for name in ("FIRST", "SECOND"))
    for worker in (first, second):
        await worker.streamer.start()
        worker.streamer.obey(())
        await worker.reachable()
    market = Market(first, second)
    first.streamer.obey((entry(CONID, 0, epoch=1),))
    second.streamer.obey((entry(CONID, 0, epoch=2, state=EntryState.STANDBY),))
    for worker in (first, second):
        worker.streamer.subscriber.on_subscribed([CONID])
    running = asyncio.create_task(market.run())
    await first.until(lambda: _state(first) is ContractState.PUBLISHING)
    await second.until(lambda: _state(second) is ContractState.WARM)
    await asyncio.sleep(2)
    begun = time.monotonic()
    _cut(broker.at["FIRST"].partition(":")[2], on=True)
    try:
        await first.until(lambda: first.streamer.kafka_status().reachable is False)
        said = time.monotonic() - begun
        assert _state(first) is ContractState.SUBSCRIBING
        first.streamer.obey((entry(CONID, 0, epoch=1, state=EntryState.RETIRING),))
        await first.until(lambda: _state(first) is ContractState.RELEASED)
        report = first.streamer.reports()[0]
        assert (report.event_time, report.seq) == (None, None)
        second.streamer.obey((entry(CONID, 0, epoch=2),))
        await second.until(lambda: _state(second) is ContractState.PUBLISHING)
        taken = time.monotonic() - begun
        await asyncio.sleep(CUT_S)
    finally:
        _cut(broker.at["FIRST"].partition(":")[2], on=False)
    await asyncio.sleep(AFTERWARDS_S)
    await first.reachable()
    running.cancel()
    for worker in (second, first):
        await worker.streamer.close()
    records = read_all(kafka.topics.ticklast, broker.servers)
    events = [record.value for record in read_all(kafka.topics.feed_events, broker.servers)]
    return {
        "said_s": said,
        "taken_s": taken,
        "sent": market.sent,
        "records": [(record.value["event_time"], record.headers["worker"], record.value["seq"]) for record in records],
        "epochs": [int(record.headers["epoch"]) for record in records],
        "gaps": [(event["from_ms"], event["to_ms"]) for event in events if event["kind"] == "gap"],
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        json.dump(asyncio.run(main(Path(name))), sys.stdout)
