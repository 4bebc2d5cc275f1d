"""``python -m datapath.bare``: the fastest parts and nothing else: read, decode once, encode once, produce.

It keeps no quote, no order over epochs and no account of what was delivered: what it does is the least that anybody
could do.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec
from confluent_kafka import Producer
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from datapath.lap import Job, Lap, producer_settings
from datapath.ours import link_of
from ibfeed_worker.runtime.gc_tuning import collect_rarely
from ibfeed_worker.ticks import SmdFrame


class _Loop(WSListener):
    def __init__(self, producer: Producer, job: Job) -> None:
        super().__init__()
        self.produced = 0
        self._produce = producer.produce
        self._topic = job.topic
        self._partitions = job.partitions
        self._decode = msgspec.json.Decoder(SmdFrame).decode
        self._encode = msgspec.json.Encoder().encode

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.BINARY:
            return
        read = self._decode(frame.get_payload_as_bytes())
        if read.updated is None:
            return
        conid: Any = read.conid  # always an int here; to check it would count as work of this loop
        self._produce(self._topic, self._encode(read), b"%d" % conid, conid % self._partitions)
        self.produced += 1


async def main(job: Job) -> None:
    lap = Lap(job)
    collect_rarely()
    producer = Producer(producer_settings(job))
    producer.list_topics(timeout=10)
    listener = _Loop(producer, job)
    link = link_of(job)
    transport, _ = await ws_connect(lambda: listener, link.url, ssl_context=link.ssl)
    for place in range(job.contracts):
        transport.send(WSMsgType.TEXT, b"smd+%d+{}" % place)
    deadline = time.monotonic() + 120
    while not lap.done and time.monotonic() < deadline:
        producer.poll(0)
        lap.count(listener.produced - len(producer))
        await asyncio.sleep(0.004)
    transport.disconnect()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Job)))
