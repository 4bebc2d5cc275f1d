"""cryptofeed's own Kafka backend, given updates without any socket, in the environment of the peers."""

from __future__ import annotations

import asyncio
import sys
import time
from decimal import Decimal

import msgspec
from cryptofeed.backends.kafka import TickerKafka
from cryptofeed.types import Ticker

from datapath.lap import Job, Lap


class _Topic(TickerKafka):
    """All contracts on one topic, as the others have it; the key is what they partition by."""

    def __init__(self, job: Job) -> None:
        super().__init__(bootstrap_servers=job.servers, acks="all", enable_idempotence=True)
        self._job = job
        self.acknowledged = 0

    def topic(self, data: dict) -> str:  # type: ignore[type-arg]
        self.acknowledged += 1  # it is asked anew when the one before was acknowledged
        return self._job.topic


async def main(job: Job) -> None:
    lap = Lap(job)
    backend = _Topic(job)
    backend.start(asyncio.get_running_loop())
    price = 7190
    for number in range(job.updates + 1):
        price += number % 3 - 1
        update = Ticker(
            "CME",
            f"CL{number % job.contracts:02d}",
            Decimal(price) / 100,
            Decimal(price + 1) / 100,
            time.time(),
        )
        await backend(update, time.time())
    while not lap.done:
        lap.count(max(0, backend.acknowledged - 1))
        await asyncio.sleep(0.004)


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
