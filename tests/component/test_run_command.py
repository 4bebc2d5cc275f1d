"""``ibfeed run`` as a process: a venue, a queue and a handler that a file declares, and an end by SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from support.kraken_recording import PlayedVenue

COMMAND = (sys.executable, "-c", "from ibfeed.cli.main import main; main()", "run")
DESK = """
import ibfeed

class Printer(ibfeed.EventHandler):
    async def on_trade(self, trade):
        print(trade.symbol, trade.seq, trade.price, trade.size, flush=True)
"""
CONFIGURATION = """
[connector]
normaliser = "ibfeed.connectors.kraken:Kraken"
settings = {symbols = ["BTC/USD"], url = "${VENUE}"}

[handler]
type = "desk:Printer"
"""


async def started(folder: Path, variables: dict[str, str]) -> asyncio.subprocess.Process:
    path = ":".join(sys.path)
    return await asyncio.create_subprocess_exec(
        *COMMAND,
        str(folder / "desk.toml"),
        env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_declared_venue_reaches_the_declared_handler(tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(DESK)
    (tmp_path / "desk.toml").write_text(CONFIGURATION)
    async with PlayedVenue() as venue:
        process = await started(tmp_path, {"VENUE": venue.url})
        assert process.stdout is not None
        lines = [await asyncio.wait_for(process.stdout.readline(), 30) for _ in range(8)]
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert lines[0] == b"BTC/USD 101 45284.0 0.00050000\n"
    assert lines[-1] == b"BTC/USD 110 45289.9 1.00000000\n"
    assert (process.returncode, errors) == (0, b"")


async def test_error_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text(CONFIGURATION)
    process = await started(tmp_path, {})
    output, errors = await asyncio.wait_for(process.communicate(), 30)
    place = f"{tmp_path}/desk.toml: connector.settings.url"
    assert errors.decode() == f"ERROR: {place} needs the environment variable VENUE: set it\n"
    assert (process.returncode, output) == (1, b"")
