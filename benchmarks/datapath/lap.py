"""What a measured client is told, what it keeps count with, and what it says in the end. For every client's process."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from datapath.shared import Shared
from support.memory import resident_mb

WARM: Final = 0.15  # of the updates: until then imports, caches and connections settle


class Job(msgspec.Struct):
    """``linger_ms`` and the topic's partitions are those of a feed's defaults."""

    url: str
    certificate: str  # path of the PEM that the server shows
    servers: str
    topic: str
    partitions: int
    contracts: int
    updates: int
    acknowledged: str  # path of the number that the sender looks at
    core: int
    linger_ms: int
    profile: str = ""  # path to write a profile to
    look_s: float = 0.004  # between two looks at what is acknowledged
    block_s: float = 0.0  # for so long the client's loop is held once, after the warm-up


class Lap:
    """From the warm-up's end to the last acknowledgement."""

    def __init__(self, job: Job) -> None:
        os.sched_setaffinity(0, {job.core})  # before any thread begins: they inherit it
        self._job: Final = job
        self._shared: Final = Shared(Path(job.acknowledged))
        self._begun: tuple[float, float, int] | None = None
        self.done = False

    def count(self, acknowledged: int) -> None:
        """To be called every few milliseconds."""
        self._shared.value = acknowledged
        if self._begun is None and acknowledged >= self._job.updates * WARM:
            self._begun = (time.perf_counter(), time.process_time(), acknowledged)
            time.sleep(self._job.block_s)
        elif acknowledged >= self._job.updates and not self.done:
            assert self._begun is not None
            self.done = True
            begun, cpu, before = self._begun
            told = {
                "ticks": acknowledged - before,
                "seconds": time.perf_counter() - begun,
                "cpu_seconds": time.process_time() - cpu,
                "acknowledged": acknowledged,
                "peak_rss_mb": round(resident_mb()[1], 1),
            }
            print(json.dumps(told), flush=True)


def producer_settings(job: Job) -> dict[str, object]:
    """The worker's own; every client has them."""
    return {
        "bootstrap.servers": job.servers,
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": job.linger_ms,
        "batch.size": 1_000_000,
        "queue.buffering.max.messages": 60_000,
        "log_level": 2,
    }
