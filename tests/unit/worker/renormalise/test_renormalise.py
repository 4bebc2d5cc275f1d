"""Recorded frames give the records of then once more; another normaliser gives others, and they are shown."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ibfeed.recording.files import Folder
from ibfeed.recording.records import Batch
from ibfeed_worker.recording.frame_recorder import FrameRecorder
from ibfeed_worker.renormalise.__main__ import compare, main
from ibfeed_worker.renormalise.comparison import Comparison, FramesSpan
from ibfeed_worker.stream.connection import Connection, Timing
from ibfeed_worker.stream.dispatcher import FrameCounters
from ibfeed_worker.stream.ladder import Asked, Target
from ibfeed_worker.ticks import Normaliser
from support.fake_broker import FakeBroker
from unit.worker.stream.bench import Bench, entry

FULL = {"31": "71.90", "7059": "3", "84": "71.89", "88": "12", "86": "71.91", "85": "9", "7762": "87250", "6509": "RpB"}
LADDER = [
    {"row": 0, "focus": 0, "price": "101.50", "ask": "1,300"},
    {"row": 1, "focus": 1, "price": "101.25", "bid": "12"},
]


class Recorded:
    """A worker whose frames are recorded, and whose records are, too."""

    def __init__(self, folder: Path, bench: Bench, broker: FakeBroker) -> None:
        self.folder = folder
        self.bench = bench
        self.broker = broker
        self.recorder = FrameRecorder(folder, "energy-0", 1024**3)
        self.recorder.start()
        self.connect()

    def connect(self) -> None:
        self.bench.lose_connection()
        self.recorder.opened(time.time_ns())
        self.connection = Connection(self.bench.streamer.subscriber, FrameCounters(), Timing(), self.recorder)

    def subscribe(self) -> None:
        for conid in self.bench.streamer.subscriber.desired():
            self.recorder.sent(f'smd+{conid}+{{"fields":["31"]}}'.encode(), time.time_ns())
        self.bench.subscribe()

    def frame(self, conid: int, fields: dict[str, Any]) -> None:
        self.bench.now += 500
        frame = {"topic": f"smd+{conid}", "conid": conid, "_updated": self.bench.now, **fields}
        self.connection.on_message(json.dumps(frame).encode(), time.time_ns())

    def ask_for_ladder(self, conid: int) -> None:
        self.recorder.sent(f"sbd+DU1+{conid}+CME".encode(), time.time_ns())
        self.connection._asked = Asked("DU1", Target(conid, "CME"), 0, None)
        self.bench.streamer.subscriber.on_ladder()

    def ladder(self, conid: int, rows: list[dict[str, Any]]) -> None:
        frame = {"topic": f"sbd+DU1+{conid}+CME", "data": rows}
        self.connection.on_message(json.dumps(frame).encode(), time.time_ns())

    def finish(self) -> int:
        """Write everything; return how many records there are."""
        self.recorder.close()
        folder = Folder(self.folder)
        count = 0
        for offset, record in enumerate(self.broker.produced):
            if record.topic != "feed-events":
                headers = tuple((name, word.encode()) for name, word in record.headers.items())
                now = time.time_ns() // 1_000_000
                folder.append(Batch(record.topic, 0, record.key.encode(), [offset], [now], [headers], [record.raw]))
                count += record.value.get("kind") != "clear"
        folder.close()
        return count


@pytest.fixture
async def recorded(tmp_path: Path) -> AsyncIterator[Recorded]:
    broker = FakeBroker()
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey(())
    worker = Recorded(tmp_path, bench, broker)
    yield worker
    worker.recorder.close()
    await bench.streamer.close()


async def some_hours(recorded: Recorded) -> None:
    """Two contracts, partial frames, frames of no contract, malformed ones, an order book, a second websocket."""
    await recorded.bench.begin(entry(7), entry(8))
    dice = random.Random(4)
    for _ in range(2):
        recorded.connect()
        recorded.subscribe()
        for conid in (7, 8):
            recorded.frame(conid, FULL)
        for _ in range(100):
            field = dice.choice(list(FULL))
            value = "RpB" if field == "6509" else f"{dice.randint(7000, 7300) / 100:.2f}" if field in "318486" else "5"
            recorded.frame(dice.choice((7, 8, 9)), {field: value})
        recorded.connection.on_message(b"{malformed", time.time_ns())


async def test_same_code_gives_the_same_records(recorded: Recorded) -> None:
    await some_hours(recorded)
    count = recorded.finish()
    comparison = compare(recorded.folder, recorded.folder)
    assert [str(difference) for difference in comparison.differences()] == []
    assert comparison.equal == count > 100


async def test_order_books_are_compared_too(recorded: Recorded) -> None:
    await recorded.bench.begin(msgspec.structs.replace(entry(7), depth=True))
    recorded.subscribe()
    recorded.frame(7, FULL)
    recorded.ask_for_ladder(7)
    recorded.ladder(7, LADDER)
    recorded.ladder(7, [{"row": 1, "focus": 1, "price": "101.25", "bid": "15"}])
    count = recorded.finish()
    comparison = compare(recorded.folder, recorded.folder)
    assert [str(difference) for difference in comparison.differences()] == []
    assert comparison.equal == count
    assert count >= 3


def test_a_book_within_the_millisecond_of_the_first_frame_is_compared() -> None:
    span, comparison = FramesSpan(first=5_000_900_000, last=9_000_000_000), Comparison()
    book = b'{"conid": 7, "symbol": "CLZ6", "kind": "snapshot", "event_time": 5000, "bids": [], "asks": []}'
    comparison.add_was(book, span)
    comparison.add_was(book.replace(b"5000", b"4999"), span)
    comparison.add_now(book)
    assert list(comparison.differences()) == []
    assert comparison.equal == 1


async def test_changed_normaliser_is_shown(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await some_hours(recorded)
    recorded.finish()
    monkeypatch.setattr(Normaliser, "restart", lambda _: None)  # values survive the websocket
    monkeypatch.setattr(sys, "argv", ["renormalise", str(recorded.folder)])
    assert main() == 1
    told = capsys.readouterr().out
    assert '"snapshot"' in told
    assert "flags [" in told
    assert "differ" in told.splitlines()[-1]


def test_command_tells_what_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ibfeed_worker.renormalise", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: ")
    assert "holds no recording" in done.stderr


@pytest.mark.parametrize(("from_avro", "differ"), [(False, 1), (True, 0)])
def test_zeros_that_avro_does_not_have_make_no_difference(*, from_avro: bool, differ: int) -> None:
    span, comparison = FramesSpan(first=1, last=9), Comparison()
    tick = '{"conid": 7, "symbol": "CLZ6", "received_ns": 5, "price": %s, "bid": %s, "market_data_type": "10.0"}'
    comparison.add_was((tick % ("71.9", "72")).encode(), span, from_avro=from_avro)
    comparison.add_now((tick % ("71.90", "72.00")).encode())
    assert len(list(comparison.differences())) == differ


def test_values_of_avro_still_differ_where_they_do() -> None:
    span, comparison = FramesSpan(first=1, last=9), Comparison()
    comparison.add_was(b'{"conid": 7, "symbol": "CLZ6", "received_ns": 5, "price": 100}', span, from_avro=True)
    comparison.add_now(b'{"conid": 7, "symbol": "CLZ6", "received_ns": 5, "price": 10.0}')
    assert len(list(comparison.differences())) == 1
