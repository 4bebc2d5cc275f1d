"""What the gateway writes to disk stays within a bound."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from ibfeed_worker.gateway.disk import File, _files, keep_bounded, too_much

LIMIT = 1 << 20


def files(*sizes: int) -> list[File]:
    return [File(Path(str(number)), size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ((), []),
        ((500, 500), []),
        ((500, 501), [501]),
        ((100, 900, 100), [900]),
        ((400, 400, 400), [400, 400]),
        ((5000,), [5000]),
    ],
)
def test_largest_files_are_chosen_until_half_is_left(sizes: tuple[int, ...], chosen: list[int]) -> None:
    assert [file.size for file in too_much(files(*sizes), 1000)] == chosen


def written(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


async def bounded(folder: Path) -> None:
    """Until nothing is too much any more."""
    task = asyncio.create_task(keep_bounded(folder, limit=LIMIT, look_s=0.02))
    async with asyncio.timeout(10):
        while sum(file.size for file in _files(folder)) > LIMIT:  # noqa: ASYNC110 - a folder tells nobody
            await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_logs_are_emptied_and_the_distribution_is_not(tmp_path: Path) -> None:
    log = written(tmp_path / "home" / "logs" / "gw.log", 2 * LIMIT)
    ours = [written(tmp_path / name, 2 * LIMIT) for name in ("home/bin/run.sh", "home/root/vertx.jks", "trust.p12")]
    library = written(tmp_path.parent / f"{tmp_path.name}-image" / "big.jar", 2 * LIMIT)
    (tmp_path / "home" / "dist").symlink_to(library.parent)
    (tmp_path / "home" / "link.jar").symlink_to(library)
    await bounded(tmp_path)
    assert log.stat().st_size == 0
    assert [path.stat().st_size for path in (*ours, library)] == [2 * LIMIT] * 4


async def test_a_file_that_is_open_gives_its_space_back(tmp_path: Path) -> None:
    """A process that keeps the file open goes on where it was: what it writes counts, the hole before it does not."""
    log = tmp_path / "home" / "logs" / "gw.log"
    log.parent.mkdir(parents=True)
    script = "import sys, time\nf = open(sys.argv[1], 'wb', 0)\nwhile True: f.write(b'x' * 65536); time.sleep(0.001)"
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(log))
    task = asyncio.create_task(keep_bounded(tmp_path, limit=LIMIT, look_s=0.01))
    try:
        async with asyncio.timeout(20):
            while not log.exists() or log.stat().st_size < 30 * LIMIT:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert sum(file.size for file in _files(tmp_path)) < 10 * LIMIT
    finally:
        task.cancel()
        writer.kill()
        await writer.wait()


async def test_a_folder_that_is_not_there_yet_is_no_trouble(tmp_path: Path) -> None:
    await bounded(tmp_path / "gateway")
