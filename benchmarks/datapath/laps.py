"""Runs a client against the flood, one after the other, each on a processor of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from datapath.flood import Order
from datapath.lap import Job
from datapath.shared import Shared
from ibfeed_api.feed import Kafka
from ibfeed_local import compiled
from ibfeed_local.state import State
from support.certificates import Certificate

CONTRACTS: Final = 100
PARTITIONS: Final = 12
CLIENT, OTHER = 0, 1  # processors: the client's, and that of the sender and the broker
LINGER_MS: Final = Kafka(bootstrap_servers="").linger_ms  # a feed's own, if it says nothing else
FLOOD_LINGER_MS: Final = 5  # a flood wants batches, and every client gets them
_LIMIT_S: Final = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client said, and what had been sent."""

    ticks: int
    seconds: float
    cpu_seconds: float
    acknowledged: int
    peak_rss_mb: float
    last: dict[int, tuple[int, str]]  # conid -> event time (ms), price
    sent_ns: tuple[int, ...] = ()  # of each update, if they were sent at a pace
    begin_ms: int = 0  # event time of the first ones

    @property
    def per_s(self) -> float:
        return self.ticks / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return self.ticks / self.cpu_seconds


def ours() -> list[str | Path]:
    """The worker's feeder, compiled as in its image."""
    imports = f"{compiled.folder(State.from_environment())}{os.pathsep}{os.environ['PYTHONPATH']}"
    return ["env", f"PYTHONPATH={imports}", sys.executable, "-m", "datapath.ours"]


class Track:
    """A folder for one run's certificate and files."""

    def __init__(self, folder: Path, servers: str) -> None:
        self._folder = folder
        self._certificate = Certificate(folder, "Client Portal Web API").pem
        self.servers = servers
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})

    @contextmanager
    def topic(self, name: str, partitions: int = PARTITIONS) -> Iterator[str]:
        for made in self._admin.create_topics([NewTopic(name, partitions, 1)]).values():
            made.result(30)
        _await_leaders(self.servers, name, partitions)
        try:
            yield name
        finally:
            for gone in self._admin.delete_topics([name]).values():
                gone.exception(30)

    def run(
        self,
        client: Sequence[str | Path],
        topic: str,
        updates: int,
        under_way: int,
        *,
        linger_ms: int = LINGER_MS,
        profile: str = "",
        per_s: float = 0.0,
        block_s: float = 0.0,
    ) -> Outcome:
        """``client``: its command. Raises AssertionError if it does not come to the end."""
        order = Order(
            certificate=str(self._certificate),
            contracts=CONTRACTS,
            updates=updates,
            under_way=under_way,
            acknowledged=str(self._folder / topic),
            begin_ms=int(time.time() * 1000) - 20 * 3_600_000,
            per_s=per_s,
        )
        with _process([sys.executable, "-m", "datapath.flood", msgspec.json.encode(order).decode()], OTHER) as sender:
            url = f"wss://127.0.0.1:{int(_line(sender))}/v1/api/ws"
            look_s = 0.5 if per_s else 0.004
            job = self._job(url, topic, updates, linger_ms, profile, look_s, block_s)
            with _process([*client, msgspec.json.encode(job).decode()], CLIENT) as measured:
                told: dict[str, Any] = json.loads(_line(measured))
                sent = json.loads(_line(sender))
        last = {int(conid): (time, price) for conid, (time, price) in sent["last"].items()}
        return Outcome(**told, last=last, sent_ns=tuple(sent["sent_ns"]), begin_ms=order.begin_ms)

    def acknowledged(self, topic: str) -> int:
        """How far the client that runs now is."""
        return Shared(self._folder / topic).value

    def run_alone(self, client: Sequence[str | Path], topic: str, updates: int) -> Outcome:
        """A client that needs no sender."""
        job = self._job("", topic, updates)
        with _process([*client, msgspec.json.encode(job).decode()], CLIENT) as measured:
            return Outcome(**json.loads(_line(measured)), last={})

    def _job(
        self,
        url: str,
        topic: str,
        updates: int,
        linger_ms: int = LINGER_MS,
        profile: str = "",
        look_s: float = 0.004,
        block_s: float = 0.0,
    ) -> Job:
        return Job(
            url=url,
            certificate=str(self._certificate),
            servers=self.servers,
            topic=topic,
            partitions=PARTITIONS,
            contracts=CONTRACTS,
            updates=updates,
            acknowledged=str(self._folder / topic),
            core=CLIENT,
            linger_ms=linger_ms,
            profile=profile,
            look_s=look_s,
            block_s=block_s,
        )


def _await_leaders(servers: str, topic: str, partitions: int) -> None:
    """A new topic is in the metadata before its partitions answer."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "log_level": 2})
    deadline = time.monotonic() + 30
    for number in range(partitions):
        while True:
            try:
                consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=5)
                break
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    consumer.close()


@contextmanager
def _process(command: Sequence[str | Path], core: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _LIMIT_S)
    line = process.stdout.readline() if ready else ""
    assert line, f"{process.args!r}: said nothing within {_LIMIT_S} s"
    return line
