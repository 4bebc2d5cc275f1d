"""``ibfeed record`` and ``replay`` against a real Kafka: each record once, whatever ends the recorder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from obstore.store import MemoryStore

import ibfeed
from ibfeed.recording import files, records
from ibfeed.recording.assembler import LARGEST
from ibfeed.recording.blocks import Block
from ibfeed.recording.events import events_of
from ibfeed.recording.files import Recording
from ibfeed.recording.plain import MARK
from ibfeed.recording.recorder import Order, record
from ibfeed.recording.replayer import Replayer, Selection
from ibfeed.recording.source import Kafka
from ibfeed.recording.store import Store
from ibfeed.recording.summary import summarise
from ibfeed.recording.uploads import Uploads
from support.avro_feed import AvroFeed
from support.cluster import ROOT
from support.recordings import HEADERS, ticks
from support.stream import KAFKA
from support.stub_registry import StubRegistry

PARTITIONS = 2
CONTRACTS = 8
KAFKA_ = Kafka(KAFKA)
Row = tuple[int, int, bytes | None, int, tuple[Any, ...], bytes | None]


@pytest.fixture
def topics() -> Iterator[tuple[str, str]]:
    """A topic, and the one that it is replayed to."""
    mark = uuid.uuid4().hex[:8]
    names = (f"test-record-{mark}", f"again-test-record-{mark}")
    admin = AdminClient({"bootstrap.servers": KAFKA, "log_level": 2})
    config = {"retention.ms": "-1"}  # the records' times are made up
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=config) for name in names]
    for future in admin.create_topics(wanted, operation_timeout=10).values():
        future.result(15)
    try:
        yield names
    finally:
        for future in admin.delete_topics(list(names), operation_timeout=10).values():
            future.exception(15)


class Writer:
    """Ticks of some contracts, over midnight."""

    def __init__(self, topic: str, encode: Callable[[bytes], bytes] = lambda value: value) -> None:
        self._topic = topic
        self._encode = encode
        self._producer = Producer({"bootstrap.servers": KAFKA, "log_level": 2, "linger.ms": 5})
        self._left = {conid: iter(ticks(6000, conid=conid, seed=conid)) for conid in range(1, CONTRACTS + 1)}
        self.written = 0

    def write(self, each: int) -> None:
        for _ in range(each):
            for conid, left in self._left.items():
                at, value = next(left)
                self._producer.produce(
                    self._topic,
                    value=self._encode(value),
                    key=str(conid),
                    partition=conid % PARTITIONS,
                    timestamp=at - 60_000,  # so that midnight lies within
                    headers=list(HEADERS),
                )
                self.written += 1
        assert self._producer.flush(20) == 0


def in_kafka(topic: str) -> list[Row]:
    """All records of a topic: partition, offset, key, time, headers, value."""
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": topic, "enable.partition.eof": True, "log_level": 2})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found: list[Row] = []
    open_ = PARTITIONS
    deadline = time.monotonic() + 30
    while open_:
        assert time.monotonic() < deadline
        for message in consumer.consume(1000, timeout=0.2):
            if message.error() is not None:
                open_ -= 1
                continue
            place: Any = (message.partition(), message.offset())
            rest: Any = (message.key(), message.timestamp()[1], tuple(message.headers() or ()), message.value())
            found.append((*place, *rest))
    consumer.close()
    return sorted(found, key=lambda row: row[:2])


def in_files(folder: Recording) -> list[Row]:
    """All records of a recording, as often as they are there."""
    found: list[Row] = []
    for path in files.find(folder):
        for block in files.read(path):
            assert isinstance(block, Block), f"{path} is damaged: {block}"
            batch = records.decode(block)
            rows = zip(batch.offsets, batch.times, batch.headers, batch.values, strict=True)
            found += [(batch.partition, offset, batch.key, at, headers, value) for offset, at, headers, value in rows]
    return sorted(found, key=lambda row: row[:2])


def start_recorder(topic: str, folder: Path) -> subprocess.Popen[bytes]:
    code = "from ibfeed.cli.main import main; main()"
    arguments = ["record", KAFKA, "--feed", "energy", "--topic", topic, "--to", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "client")}
    return subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment)


def record_all(topic: str, folder: Path, uploads: Uploads | None = None) -> None:
    record(Order(KAFKA_, [topic], "energy", None, once=True), folder, lambda _: None, lambda: False, uploads)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.ibrec"))


def test_killed_recorder_loses_and_doubles_nothing(topics: tuple[str, str], tmp_path: Path) -> None:
    writer = Writer(topics[0])
    for _ in range(4):
        writer.write(LARGEST + 100)
        before = bytes_in(tmp_path)
        recorder = start_recorder(topics[0], tmp_path)
        try:
            deadline = time.monotonic() + 60
            while bytes_in(tmp_path) == before:  # killed as soon as it writes: it has eight blocks to write
                assert recorder.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.002)
        finally:
            recorder.send_signal(signal.SIGKILL)
            recorder.wait(10)
    record_all(topics[0], tmp_path)
    recorded = in_files(tmp_path)
    assert len(recorded) == writer.written
    assert recorded == in_kafka(topics[0])


def test_stopped_recorder_has_written_all_it_read(topics: tuple[str, str], tmp_path: Path) -> None:
    writer = Writer(topics[0])
    writer.write(20)
    recorder = start_recorder(topics[0], tmp_path)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "positions.json").exists():
            assert recorder.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        recorder.terminate()
        assert recorder.wait(20) == 0
    finally:
        recorder.kill()
        recorder.wait(10)
    writer.write(20)
    record_all(topics[0], tmp_path)
    assert in_files(tmp_path) == in_kafka(topics[0])


def test_replay_gives_the_same_records(topics: tuple[str, str], tmp_path: Path) -> None:
    Writer(topics[0]).write(300)
    record_all(topics[0], tmp_path)
    done = Replayer(KAFKA_, "again-", None).run(tmp_path, Selection(), lambda _: None)
    assert done.sent == 300 * CONTRACTS
    original, again = in_kafka(topics[0]), in_kafka(topics[1])
    # Offsets differ, and so does the order between contracts. Each contract's records are the same, in the same order.
    for conid in range(1, CONTRACTS + 1):
        key = str(conid).encode()
        of_contract = [[row[:1] + row[2:] for row in rows if row[2] == key] for rows in (original, again)]
        assert of_contract[0] == of_contract[1]
        assert len(of_contract[0]) == 300
    assert len(again) == len(original)
    for partition in range(PARTITIONS):
        times = [row[3] for row in again if row[0] == partition]
        assert times == sorted(times)


def test_feed_in_avro_is_read_when_its_registry_is_gone(topics: tuple[str, str], tmp_path: Path) -> None:
    expected = [
        json.loads(value) for conid in range(1, CONTRACTS + 1) for _, value in ticks(20, conid=conid, seed=conid)
    ]
    names = ibfeed.Topics(topics[0], "books", "events", "contracts")
    with StubRegistry() as registry:
        feed = AvroFeed(registry.url, names)
        Writer(topics[0], lambda value: feed.encode(topics[0], value) or b"").write(20)
        assert (in_kafka(topics[0])[0][-1] or b"")[:1] == b"\0"
        order = Order(KAFKA_, [topics[0]], "energy", None, True, ibfeed.SchemaRegistry(registry.url))
        record(order, tmp_path, lambda _: None, lambda: False)
    recorded = in_files(tmp_path)
    found = sorted((json.loads(row[-1] or b"") for row in recorded), key=lambda one: (one["conid"], one["seq"]))
    assert found == sorted(expected, key=lambda one: (one["conid"], one["seq"]))
    assert all(row[4][-1] == MARK for row in recorded)
    assert {row.name for row in map(summarise, files.find(tmp_path))} == {one["symbol"] for one in expected}
    events = list(events_of(tmp_path, Selection(), names))
    assert len([event for event in events if isinstance(event, ibfeed.Tick)]) == len(expected)
    Replayer(KAFKA_, "again-", None).run(tmp_path, Selection(), lambda _: None)
    assert sorted(row[-1] or b"" for row in in_kafka(topics[1])) == sorted(row[-1] or b"" for row in recorded)


def test_uploaded_and_removed_files_are_recorded_on_and_replayed(topics: tuple[str, str], tmp_path: Path) -> None:
    """The records are of two days that are long over, so each run uploads all that it has, and removes it here."""
    store = Store("s3://bucket/recording", MemoryStore())
    writer = Writer(topics[0])
    for _ in range(2):
        writer.write(100)
        record_all(topics[0], tmp_path, Uploads(tmp_path, store, keep_days=1, clock=lambda: time.time() + 10 * 86_400))
        assert bytes_in(tmp_path) == 0
    (tmp_path / "positions.json").unlink()  # so all is read from Kafka again, and nothing is new
    record_all(topics[0], tmp_path, Uploads(tmp_path, store, keep_days=None))
    assert in_files(store) == in_kafka(topics[0])
    done = Replayer(KAFKA_, "again-", None).run(store, Selection(), lambda _: None)
    assert done.sent == writer.written


def test_replay_keeps_the_pace(topics: tuple[str, str], tmp_path: Path) -> None:
    Writer(topics[0]).write(60)
    record_all(topics[0], tmp_path)
    times = [row[3] for row in in_kafka(topics[0])]
    span = (max(times) - min(times)) / 1000
    began = time.monotonic()
    done = Replayer(KAFKA_, "again-", span / 2).run(tmp_path, Selection(), lambda _: None)  # in two seconds
    assert 1.9 < time.monotonic() - began < 8
    assert done.sent == 60 * CONTRACTS
    assert done.latest_s < 1.0
