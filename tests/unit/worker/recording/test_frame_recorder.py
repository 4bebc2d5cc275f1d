"""Raw frames get into files, and whatever the disk does, the stream does not wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ibfeed.errors import RecordingError
from ibfeed.recording import files, frames
from ibfeed.recording.blocks import Block
from ibfeed.recording.files import append
from ibfeed.recording.frames import Direction
from ibfeed_worker.recording import frame_recorder
from ibfeed_worker.recording.frame_recorder import FrameRecorder
from ibfeed_worker.recording.metrics import RecorderCollector

GIB = 1024**3
MIDNIGHT_NS = 20_783 * 86_400 * 1_000_000_000


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_recorder, "_PAUSE_S", 0.01)


@pytest.fixture
def started() -> Iterator[Callable[[FrameRecorder], FrameRecorder]]:
    all_: list[FrameRecorder] = []

    def start(recorder: FrameRecorder) -> FrameRecorder:
        all_.append(recorder)
        recorder.start()
        return recorder

    yield start
    for recorder in all_:
        recorder.close()


Start = Callable[[FrameRecorder], FrameRecorder]


def until(ask: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def recorded(folder: Path) -> dict[str, list[tuple[int, int, bytes]]]:
    """By file: time, direction and bytes of its frames."""
    found: dict[str, list[tuple[int, int, bytes]]] = {}
    for path in files.find(folder):
        rows = found.setdefault(f"{path.parent.name}/{path.name}", [])
        for block in files.read(path):
            assert isinstance(block, Block)
            frame = frames.decode(block)
            assert frame.worker == "energy-0"
            rows += zip(frame.times, frame.directions, frame.payloads, strict=True)
    return found


def test_frames_are_in_a_file_per_websocket_and_day(tmp_path: Path, started: Start) -> None:
    recorder = started(FrameRecorder(tmp_path, "energy-0", GIB))
    recorder.opened(MIDNIGHT_NS - 5_000_000_000)
    recorder.sent(b"smd+7+{}", MIDNIGHT_NS - 2)
    recorder.received(b'{"topic":"smd+7"}', MIDNIGHT_NS - 1)
    recorder.received(b"after midnight", MIDNIGHT_NS)
    recorder.opened(MIDNIGHT_NS + 60_000_000_000)
    recorder.received(b"another websocket", MIDNIGHT_NS + 60_000_000_001)
    recorder.close()
    assert recorded(tmp_path) == {
        "2026-11-25/energy-0-20261125T235955000.ibrec": [
            (MIDNIGHT_NS - 2, Direction.SENT, b"smd+7+{}"),
            (MIDNIGHT_NS - 1, Direction.RECEIVED, b'{"topic":"smd+7"}'),
        ],
        "2026-11-26/energy-0-20261125T235955000.ibrec": [(MIDNIGHT_NS, Direction.RECEIVED, b"after midnight")],
        "2026-11-26/energy-0-20261126T000100000.ibrec": [
            (MIDNIGHT_NS + 60_000_000_001, Direction.RECEIVED, b"another websocket")
        ],
    }
    assert recorder.counters.frames == 4


def test_frames_are_written_while_it_runs(tmp_path: Path, started: Start) -> None:
    recorder = started(FrameRecorder(tmp_path, "energy-0", GIB))
    recorder.received(b"one", MIDNIGHT_NS)
    until(lambda: recorder.counters.frames == 1)
    recorder.received(b"two", MIDNIGHT_NS)
    until(lambda: recorder.counters.frames == 2)
    (rows,) = recorded(tmp_path).values()
    assert [payload for _, _, payload in rows] == [b"one", b"two"]


def test_disk_that_hangs_does_not_delay_the_stream(
    tmp_path: Path, started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_recorder, "ROOM_BYTES", 10_000)
    hangs, goes_on = threading.Event(), threading.Event()

    def write(path: Path, data: bytes) -> None:
        hangs.set()
        assert goes_on.wait(20)
        append(path, data)

    recorder = started(FrameRecorder(tmp_path, "energy-0", GIB, write))
    recorder.received(b"first", MIDNIGHT_NS)
    assert hangs.wait(20)
    began = time.thread_time()
    for _ in range(1000):
        recorder.received(b"x" * 100, MIDNIGHT_NS)
    assert time.thread_time() - began < 1.0
    assert recorder.counters.dropped == 900
    goes_on.set()
    recorder.close()
    assert recorder.counters.frames == 101
    recorder.received(b"late", MIDNIGHT_NS)


def test_full_disk_drops_frames_and_is_told_once(
    tmp_path: Path, started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    full = True
    caplog.set_level("INFO")

    def write(path: Path, data: bytes) -> None:
        if full:
            raise RecordingError(f"{path} cannot be written: No space left on device")
        append(path, data)

    recorder = started(FrameRecorder(tmp_path, "energy-0", GIB, write))
    for number in range(1, 4):
        recorder.received(b"lost", MIDNIGHT_NS)
        until(lambda number=number: recorder.counters.dropped == number)  # type: ignore[misc]
    assert sum("frames are not recorded" in record.message for record in caplog.records) == 1
    full = False
    recorder.received(b"kept", MIDNIGHT_NS)
    until(lambda: recorder.counters.frames == 1)
    assert "frames are recorded again" in caplog.text
    (rows,) = recorded(tmp_path).values()
    assert [payload for _, _, payload in rows] == [b"kept"]


def test_limit_holds_over_restarts_until_files_are_moved(tmp_path: Path, started: Start) -> None:
    first = started(FrameRecorder(tmp_path, "energy-0", GIB))
    first.received(b"a" * 1000, MIDNIGHT_NS)
    first.close()
    (path,) = files.find(tmp_path)
    recorder = started(FrameRecorder(tmp_path, "energy-0", path.stat().st_size + 10))
    recorder.opened(MIDNIGHT_NS)
    recorder.received(b"beyond", MIDNIGHT_NS)
    until(lambda: recorder.counters.dropped == 1)
    path.unlink()
    recorder.received(b"beyond as well, but now it is seen that there is room", MIDNIGHT_NS)
    until(lambda: recorder.counters.dropped + recorder.counters.frames == 2)
    recorder.received(b"kept", MIDNIGHT_NS)
    until(lambda: recorder.counters.frames > 0)


def test_metrics_tell_what_is_recorded_and_what_is_not(tmp_path: Path, started: Start) -> None:
    recorder = started(FrameRecorder(tmp_path, "energy-0", 0))
    recorder.received(b"lost", MIDNIGHT_NS)
    recorder.close()
    samples = {s.name: s.value for family in RecorderCollector(recorder.counters).collect() for s in family.samples}
    assert samples == {
        "ibfeed_frames_recorded_total": 0,
        "ibfeed_frames_recorded_bytes_total": 0,
        "ibfeed_frames_unrecorded_total": 1,
    }
