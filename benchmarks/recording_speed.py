"""How fast recordings are written and read on one core, and how small they are.

    python benchmarks/recording_speed.py [--events N] [--kafka]

Ticks are those of 20 contracts, of the size of ``reader_speed.py``'s, and each number that changes on a market changes
here: prices walk, sizes and times vary, and the nanoseconds are random. All rates are by processor time of the one
process.

- ``record_events_per_s``: from records as Kafka's client hands them over to files that the disk keeps, without
  what the client itself does.
- ``replay_events_per_s``: from files to records in the order of time, as they are handed to Kafka's client.
- ``--kafka``: with Kafka's client and its threads, against the Kafka of the variable KAFKA, by the clock as well.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ibfeed.recording import files, records
from ibfeed.recording.assembler import LARGEST, Assembler
from ibfeed.recording.blocks import Block, Damage, scan
from ibfeed.recording.files import Folder
from ibfeed.recording.recorder import Order, record
from ibfeed.recording.replayer import Replayer, Selection, days
from ibfeed.recording.schedule import merged
from ibfeed.recording.source import Kafka

KAFKA = os.environ.get("KAFKA", "10.244.0.1:9092")
CONTRACTS: Final = 20
PARTITIONS: Final = 4
EPOCH: Final = 1_795_244_400
TOPIC: Final = "ticklast"
HEADERS: Final[list[tuple[str, str | bytes | None]]] = [
    ("epoch", str(EPOCH).encode()),
    ("worker", b"energy-0"),
    ("schema", b"ticklast/2"),
]
VALUE: Final = (
    '{"symbol":"CLZ6","conid":%d,"price":%.2f,"size":%d,"open_interest":312456,"event_time":%d,'
    '"market_data_type":"RpB","bid":%.2f,"bid_size":%d,"ask":%.2f,"ask_size":%d,"volume":%d,'
    '"received_ns":%d,"seq":%d,"flags":[%s]}'
)


def ticks_of(conid: int, count: int) -> Iterator[tuple[int, bytes]]:
    """Yield time in ms and value of one contract's ticks."""
    dice = random.Random(conid)
    price, volume, event_ms = 7190, 87_250, EPOCH * 1000
    size, bid_size, ask_size = 3, 12, 9
    for number in range(count):
        event_ms += dice.choice((500, 500, 500, 1000, 1500)) + dice.randint(-20, 20)
        flags = []
        if dice.random() < 0.6:
            price += dice.choice((-1, 0, 0, 0, 1))
            size = max(1, int(dice.expovariate(0.3)))
            volume += size * dice.randint(1, 4)
            flags += ['"price"', '"size"', '"volume"']
        if dice.random() < 0.7:
            bid_size = max(1, bid_size + dice.randint(-6, 6))
            flags.append('"bid_size"')
        if dice.random() < 0.7:
            ask_size = max(1, ask_size + dice.randint(-6, 6))
            flags.append('"ask_size"')
        received_ns = event_ms * 1_000_000 + int(dice.gauss(60, 15) * 1e6) + dice.randint(0, 999_999)
        bid, ask = price / 100 - 0.01, price / 100 + 0.01
        numbers = (conid, price / 100, size, event_ms, bid, bid_size, ask, ask_size, volume, received_ns)
        value = VALUE % (*numbers, (EPOCH << 20) + number + 1, ",".join(flags))
        yield received_ns // 1_000_000 + dice.randint(0, 2), value.encode()


def messages(count: int) -> list[Message]:
    """Return ticks of all contracts, in turns."""
    each = [ticks_of(495_512_572 + number, count // CONTRACTS) for number in range(CONTRACTS)]
    offsets = [0] * PARTITIONS
    found = []
    for turn in zip(*each, strict=True):
        for number, (ms, value) in enumerate(turn):
            partition = number % PARTITIONS
            key = str(495_512_572 + number).encode()
            place: Any = {"topic": TOPIC, "partition": partition, "offset": offsets[partition]}
            found.append(Message(**place, key=key, value=value, headers=list(HEADERS), timestamp=(1, ms)))
            offsets[partition] += 1
    return found


def write(found: Sequence[Message], path: Path) -> float:
    """Write a recording; return records for each second of processor time."""
    folder = Folder(path)
    began = time.process_time()
    assembler = Assembler("energy", {(TOPIC, partition): 0 for partition in range(PARTITIONS)})
    for first in range(0, len(found), 1000):
        for batch in assembler.add(found[first : first + 1000], 0.0):
            folder.append(batch)
    for batch in assembler.rest():
        folder.append(batch)
    folder.settle(assembler.positions())
    rate = len(found) / (time.process_time() - began)
    folder.close()
    return rate


def read(path: Path) -> float:
    """Read a recording in the order of time; return records for each second of processor time."""
    began, count = time.process_time(), 0
    for day in days(path, Selection()):
        for items in merged(day):
            count += len(items)
    return count / (time.process_time() - began)


def torn_tail_recovered(path: Path) -> bool:
    """Return whether each whole block of a file is read, and the damage told, wherever its end is torn off."""
    data = files.find(path)[0].read_bytes()
    ends = [block.end for block in scan(data) if isinstance(block, Block)]
    dice = random.Random(1)
    for cut in [dice.randrange(len(data)) for _ in range(100)]:
        found = list(scan(data[:cut]))
        whole = [block for block in found if isinstance(block, Block)]
        before = [end for end in ends if end <= cut]
        last = before[-1] if before else 0
        told = [Damage(last, cut, torn=True)] if cut > last else []
        if [block.end for block in whole] != before or [d for d in found if isinstance(d, Damage)] != told:
            return False
        if sum(len(records.decode(block).values) for block in whole) > len(before) * LARGEST:
            return False
    return True


def measure(count: int, rounds: int = 3) -> dict[str, float | bool]:
    """Return the rates (medians of the rounds), the bytes of a tick, and whether torn tails are recovered."""
    found = messages(count)
    gc.freeze()  # a recorder has no such list, through which the collector would have to look
    writes, reads = [], []
    with tempfile.TemporaryDirectory() as home:
        for number in range(rounds):
            path = Path(home) / str(number)
            writes.append(write(found, path))
            reads.append(read(path))
        size = sum(file.stat().st_size for file in files.find(path))
        recovered = torn_tail_recovered(path)
    return {
        "record_events_per_s": sorted(writes)[rounds // 2],
        "replay_events_per_s": sorted(reads)[rounds // 2],
        "bytes_per_tick": size / len(found),
        "torn_tail_recovered": recovered,
    }


@contextmanager
def topics(*names: str) -> Iterator[None]:
    admin = AdminClient({"bootstrap.servers": KAFKA})
    config = {"retention.ms": "-1"}
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, config=config) for name in names]
    for future in admin.create_topics(wanted).values():
        future.result(20)
    try:
        yield
    finally:
        for future in admin.delete_topics(list(names)).values():
            future.result(20)


def measure_with_kafka(count: int) -> dict[str, float]:
    """Return records a second from Kafka into files, and back, with all that Kafka's client does."""
    name = f"recording-speed-{uuid.uuid4().hex[:8]}"
    with topics(name, f"again-{name}"), tempfile.TemporaryDirectory() as home:
        producer = Producer({"bootstrap.servers": KAFKA, "linger.ms": 20, "queue.buffering.max.messages": count + 1})
        for message in messages(count):
            place: Any = {"partition": message.partition(), "timestamp": message.timestamp()[1]}
            producer.produce(name, message.value(), message.key(), headers=message.headers(), **place)
        producer.flush(60)
        kafka = Kafka(KAFKA)
        began, used = time.perf_counter(), time.process_time()
        record(Order(kafka, [name], "energy", None, once=True), Path(home), lambda _: None, lambda: False)
        rates = {
            "record_from_kafka_wall": count / (time.perf_counter() - began),
            "record_from_kafka_cpu": count / (time.process_time() - used),
        }
        began, used = time.perf_counter(), time.process_time()
        Replayer(kafka, "again-", None).run(Path(home), Selection(), lambda _: None)
        return {
            **rates,
            "replay_to_kafka_wall": count / (time.perf_counter() - began),
            "replay_to_kafka_cpu": count / (time.process_time() - used),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--kafka", action="store_true")
    asked = parser.parse_args()
    found: dict[str, float | bool] = measure(asked.events)
    if asked.kafka:
        found = {**found, **measure_with_kafka(asked.events)}
    for name, value in found.items():
        print(f"{name:24} {value if isinstance(value, bool) else format(value, ',.1f')}")


if __name__ == "__main__":
    main()
