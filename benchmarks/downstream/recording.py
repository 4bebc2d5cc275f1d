"""How fast the recorder and the replayer are, how much room a tick takes, and what survives damage."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from confluent_kafka.admin import AdminClient, NewTopic

from downstream.stage import Stage, stage
from downstream.venue import FEED, PARTITIONS
from ibfeed.recording import files
from ibfeed.recording.blocks import Block
from ibfeed.recording.layout import RECORDS
from ibfeed.recording.recorder import Order, Progress, record
from ibfeed.recording.replayer import Replayer, Selection
from ibfeed.recording.source import Kafka

TICKS: Final = int(os.environ.get("RECORDED_TICKS", "400000"))
ROUNDS: Final = 3
DAMAGES: Final = 1000
_DAMAGED: Final = 10  # recordings, whose blocks make the file that is damaged
_CONTRACTS: Final = 100
_PACE_MS: Final = 500  # IB's, between two updates of a contract
_FLUSH_EACH: Final = 50_000  # less than the client library's queue holds
Say = Callable[[str], None]


def measure(say: Say) -> dict[str, Any]:
    """Keys ``record_events_per_s``, ``replay_events_per_s``, ``bytes_per_tick``, ``torn_tail_recovered``."""
    with stage() as on:
        _write(on)
        recorded = [_record(on, on.folder / f"recording-{number}") for number in range(ROUNDS)]
        say(f"recorded {TICKS:,} ticks: {', '.join(f'{per_s:,.0f}/s' for per_s in recorded)}")
        folder = on.folder / "recording-0"
        replayed = [_replay(on, folder, f"replay-{number}-") for number in range(ROUNDS)]
        say(f"replayed: {', '.join(f'{per_s:,.0f}/s' for per_s in replayed)}")
        found = sorted((folder / RECORDS / (on.topics.ticks or "")).rglob("*.ibrec"))
        size = sum(path.stat().st_size for path in found)
        say(f"{size:,} bytes in {len(found)} files")
        recovered = _recovered(found[:_DAMAGED], on.folder / "damaged.ibrec")
    return {
        "record_events_per_s": round(median(recorded)),
        "replay_events_per_s": round(median(replayed)),
        "bytes_per_tick": round(size / TICKS, 2),
        "torn_tail_recovered": recovered,
        "recorded_ticks": TICKS,
    }


def _write(on: Stage) -> None:
    venue = on.venue(_CONTRACTS)
    begin_ms = int(time.time() * 1000) - TICKS // _CONTRACTS * _PACE_MS
    for number in range(TICKS):
        venue.write(number, begin_ms + number // _CONTRACTS * _PACE_MS + number * 7 % 90)
        if number % _FLUSH_EACH == 0:
            venue.flush()
    venue.flush()


def _record(on: Stage, folder: Path) -> float:
    """Return the records a second, from the first one on."""
    begun: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        if progress.read and not begun:
            begun.append((time.perf_counter(), progress.read))

    order = Order(Kafka(on.broker.servers), [on.topics.ticks or ""], FEED, None, once=True)
    done = record(order, folder, note, lambda: False)
    assert done.written == TICKS, f"{done.written} of {TICKS} ticks were recorded"
    ((at, before),) = begun
    return (done.read - before) / (time.perf_counter() - at)


def _replay(on: Stage, folder: Path, prefix: str) -> float:
    with _topic(on, prefix + (on.topics.ticks or "")):
        done = Replayer(Kafka(on.broker.servers), prefix, None).run(folder, Selection(), lambda _: None)
    assert done.sent == TICKS, f"{done.sent} of {TICKS} ticks were replayed"
    return done.sent / done.seconds


@contextmanager
def _topic(on: Stage, name: str) -> Iterator[None]:
    admin = AdminClient({"bootstrap.servers": on.broker.servers, "log_level": 2})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    try:
        yield
    finally:
        admin.delete_topics([name])[name].exception(30)


def _recovered(paths: Sequence[Path], damaged: Path) -> int:
    """Return in how many of ``DAMAGES`` cases every block that was not touched is read as it was.

    A case is a cut at a random byte, or a random bit that is turned. The file has the blocks of several recordings.
    """
    whole = b"".join(path.read_bytes() for path in paths)
    damaged.write_bytes(whole)
    blocks = [(block.start, block.end, block.body()) for block in files.read(damaged) if isinstance(block, Block)]
    assert len(blocks) > 1
    dice = random.Random(1)
    recovered = 0
    for number in range(DAMAGES):
        place = dice.randrange(len(whole))
        if number % 2:
            damaged.write_bytes(whole[:place])
            kept = [block for block in blocks if block[1] <= place]
        else:
            turned = bytes([whole[place] ^ 1 << dice.randrange(8)])
            damaged.write_bytes(whole[:place] + turned + whole[place + 1 :])
            kept = [block for block in blocks if not block[0] <= place < block[1]]
        found = [(one.start, one.end, one.body()) for one in files.read(damaged) if isinstance(one, Block)]
        recovered += found == kept
    return recovered
