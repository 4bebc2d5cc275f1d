"""Compare what the stream makes of recorded frames with the records of then. Exit code 1: they differ."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ibfeed.errors import Error
from ibfeed.recording import files, frames, records
from ibfeed.recording.blocks import Block, BlockKind
from ibfeed.recording.frames import Frames
from ibfeed.recording.plain import MARK
from ibfeed_worker.renormalise.comparison import Comparison, FramesSpan, symbols_of
from ibfeed_worker.renormalise.stream import Renormaliser

_SHOWN = 100


def main() -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="ibfeed_worker.renormalise", description=__doc__)
    parser.add_argument("frames", type=Path, help="folder with a worker's recorded frames, or one file")
    parser.add_argument("records", type=Path, nargs="?", help="folder of `ibfeed record`; the same folder if left out")
    asked = parser.parse_args()
    try:
        comparison = compare(asked.frames, asked.records or asked.frames)
    except Error as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 2
    count = 0
    for count, difference in enumerate(comparison.differences(), 1):
        if count <= _SHOWN:
            print(difference)
    shown = f" ({_SHOWN} shown)" if count > _SHOWN else ""
    print(f"{comparison.equal:,} records are equal, {count:,} differ{shown}")
    return 1 if count else 0


def compare(frames_at: Path, records_at: Path) -> Comparison:
    """Return the comparison of all workers' frames with their records. Raises RecordingError."""
    comparison = Comparison()
    recordings = sorted(_frame_files(frames_at), key=_worker_and_opening)
    for worker, paths in groupby(recordings, key=_worker):
        of_worker = list(_values(records_at, worker))
        symbols, books = symbols_of(value for value, _ in of_worker)
        stream = Renormaliser(symbols, books)
        span = FramesSpan()
        for _, of_session in groupby(paths, key=lambda path: path.stem):
            stream.opened()
            for path in of_session:
                for value in stream.values(span.over(_frames(path))):
                    comparison.add_now(value)
        for value, from_avro in of_worker:
            comparison.add_was(value, span, from_avro=from_avro)
    return comparison


def _frame_files(place: Path) -> Iterator[Path]:
    for path in files.find(place):
        if next(_frames(path), None) is not None:
            yield path


def _frames(path: Path) -> Iterator[Frames]:
    for found in files.read(path):
        if isinstance(found, Block) and found.summary.kind == BlockKind.FRAMES:
            yield frames.decode(found)


def _worker(path: Path) -> str:
    return path.stem.rpartition("-")[0]


def _worker_and_opening(path: Path) -> tuple[str, str, str]:
    return _worker(path), path.stem, path.parent.name


def _values(place: Path, worker: str) -> Iterator[tuple[bytes, bool]]:
    """Yield the values of a worker's ticks and order books, and whether they were Avro in Kafka."""
    for path in files.find(place):
        for found in files.read(path):
            if not isinstance(found, Block) or found.summary.kind != BlockKind.RECORDS:
                continue
            batch = records.decode(found)
            for headers, value in zip(batch.headers, batch.values, strict=True):
                said = dict(headers)
                of_stream = (said.get("schema") or b"").startswith((b"ticklast/", b"l2-data/"))
                # A recorder leaves Avro that it cannot decode as it is, and that begins with a zero byte.
                if value and value.startswith(b"{") and of_stream and said.get("worker") == worker.encode():
                    yield value, MARK in headers


if __name__ == "__main__":
    sys.exit(main())
