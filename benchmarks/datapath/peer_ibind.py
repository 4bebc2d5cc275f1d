"""ibind's websocket client in front of the worker's producer, in the environment of the peers.

Its best case: events go to the sink from the thread that reads them, and the record is what the frame said, encoded by
the same library; no state is kept, and nothing but a count is made of what was delivered.
"""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import msgspec
from confluent_kafka import Producer
from ibind import IbkrWsClient
from ibind.events import MarketData
from ibind.ibkr_ws.ibkr_subscriptions import MarketDataSubscription

from datapath.frames import FIRST_CONID
from datapath.lap import Job, Lap, producer_settings


class _Session:
    """What the websocket client asks of a REST client."""

    def tickle(self) -> Any:
        return SimpleNamespace(data={"session": "bench"})

    def authentication_status(self) -> Any:
        return SimpleNamespace(data={"authenticated": True})


class _Sink:
    def __init__(self, producer: Producer, job: Job) -> None:
        self.produced = 0
        self._produce = producer.produce
        self._job = job
        self._encode = msgspec.json.Encoder().encode

    def emit(self, event: Any) -> None:
        if isinstance(event, MarketData):
            key = event.conid.encode()
            partition = int(event.conid) % self._job.partitions
            self._produce(self._job.topic, self._encode(event.data), key, partition)
            self.produced += 1


def main(job: Job) -> None:
    lap = Lap(job)
    producer = Producer(producer_settings(job))
    producer.list_topics(timeout=10)
    sink = _Sink(producer, job)
    client = IbkrWsClient(
        account_id="DU1",
        url=job.url,
        ibkr_client=_Session(),
        cacert=False,
        sink=sink,
        synchronous_output_events=True,
    )
    threading.Thread(target=client.start, daemon=True).start()
    for place in range(job.contracts):
        client.subscribe(MarketDataSubscription(conid=str(FIRST_CONID + place), fields=["31", "84", "86"]))
    while not lap.done:
        producer.poll(0)
        lap.count(sink.produced - len(producer))
        time.sleep(0.004)
    sys.stdin.read()


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Job))
