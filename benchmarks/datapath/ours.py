"""``python -m datapath.ours``: the worker's real feeder, connection and publisher."""

from __future__ import annotations

import asyncio
import cProfile
import ssl
import sys
from pathlib import Path

import msgspec

from datapath.frames import FIRST_CONID
from datapath.lap import Job, Lap
from ibfeed_api.feed import Kafka, Topic, Topics
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker import worker  # noqa: F401 - all of the worker's modules count for its memory
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.gateway.pin import trusting
from ibfeed_worker.publish import send_queue
from ibfeed_worker.runtime.gc_tuning import collect_rarely
from ibfeed_worker.stream import Link, Streamer


class _NoSwitch:
    def arm(self, at: float) -> None:
        pass

    def disarm(self) -> None:
        pass


def _fence() -> Fence:
    """A Lease that is good for longer than anything here takes."""
    fence = Fence(_NoSwitch(), lambda: None)
    fence.extend(fence.now() + 3600)
    return fence


def streamer_of(job: Job) -> Streamer:
    """As the worker's lifecycle makes it."""
    topics = Topics(
        ticklast=Topic(name=job.topic, partitions=job.partitions),
        l2_data=Topic(name=f"{job.topic}-books", partitions=1),
        feed_events=Topic(name=f"{job.topic}-events", partitions=1),
    )
    return Streamer(
        worker="bench-0",
        feed="bench",
        kafka=Kafka(bootstrap_servers=job.servers, topics=topics, linger_ms=job.linger_ms),
        lines=job.contracts,
        on_change=lambda: None,
        may_write=_fence().is_open,
    )


def entries(contracts: int) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            conid=FIRST_CONID + place,
            symbol=f"CL{place:02d}",
            root="CL",
            contract_month="202612",
            slot=place,
            epoch=1,
            state=EntryState.ACTIVE,
            fresh=True,
        )
        for place in range(contracts)
    )


def link_of(job: Job) -> Link:
    der = ssl.PEM_cert_to_DER_cert(Path(job.certificate).read_text().partition("-----BEGIN PRIVATE KEY-----")[0])
    return Link(url=job.url, ssl=trusting(der).context, cookie="bench")


async def until_reachable(streamer: Streamer) -> None:
    while not streamer.kafka_status().reachable:  # noqa: ASYNC110 - its change is told to the feeder's shell
        await asyncio.sleep(0.01)


async def main(job: Job) -> None:
    assert str(send_queue.__file__).endswith(".so"), "these are not the modules that the image runs"
    lap = Lap(job)
    collect_rarely()  # as the worker's start does
    streamer = streamer_of(job)
    await streamer.start()
    streamer.obey(())
    await until_reachable(streamer)
    streamer.obey(entries(job.contracts))
    life = asyncio.create_task(streamer.stream(link_of(job)))
    counted = streamer.published.ticks
    while not lap.done and not life.done():
        lap.count(counted.acknowledged + counted.conflated + counted.failed)  # what is lost is seen on Kafka
        await asyncio.sleep(job.look_s)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    await streamer.close()


if __name__ == "__main__":
    job = msgspec.json.decode(sys.argv[1], type=Job)
    if job.profile:
        cProfile.run("asyncio.run(main(job))", job.profile)
    else:
        asyncio.run(main(job))
