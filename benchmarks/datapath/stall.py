"""Ticks that are lost when Kafka, or the worker's own loop, stands still for ten seconds under 2,000 updates/s."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from datapath.laps import PARTITIONS, Track, ours
from datapath.records import written
from datapath.throughput import SIDE_TOPICS
from datapath.verdict import faults_of
from support.broker import Broker

PER_S: Final = 2000.0
UPDATES: Final = 32_000
_BEGIN_S: Final = 5.0
_STALL_S: Final = 10.0


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """Key ``stall_lost``: updates of both stalls that are not on Kafka, whether they were told or not.

    Raises AssertionError if all are there, but one twice, out of order, or not as it was sent.
    """
    lost = {}
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            asyncio.run(broker.start())
            track = Track(Path(folder), broker.servers)
            for what in ("kafka", "loop"):
                lost[what] = _stalled(track, broker, what)
                say(f"{what} stalled for {_STALL_S:g} s: {lost[what]} of {UPDATES} updates lost")
        finally:
            broker.kill()
    return {"stall_lost": sum(lost.values()), "stall_lost_of": lost}


def _stalled(track: Track, broker: Broker, what: str) -> int:
    topic = f"stall-{what}"
    with (
        track.topic(topic, PARTITIONS),
        track.topic(topic + SIDE_TOPICS[0], 1),
        track.topic(topic + SIDE_TOPICS[1], 1),
    ):
        stalling = threading.Thread(target=_stall, args=(broker, track, topic)) if what == "kafka" else None
        if stalling is not None:
            stalling.start()
        found = track.run(
            ours(),
            topic,
            UPDATES,
            UPDATES,
            per_s=PER_S,
            block_s=_STALL_S if what == "loop" else 0.0,
        )
        if stalling is not None:
            stalling.join()
        records = written(track.servers, topic, PARTITIONS)
        missing = UPDATES - sum(map(len, records.values()))
        faults = faults_of(records, found.last, found.acknowledged)
        assert missing or not faults, "; ".join(faults[:5])
        return missing


def _stall(broker: Broker, track: Track, topic: str) -> None:
    while not track.acknowledged(topic):
        time.sleep(0.05)
    time.sleep(_BEGIN_S)
    broker.signal(signal.SIGSTOP)
    time.sleep(_STALL_S)
    broker.signal(signal.SIGCONT)
