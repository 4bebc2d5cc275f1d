"""Each example runs, against topics, a ClickHouse and a Redis that the test fills."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import json
import sys
import time
import types
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import reader_records
from support.kraken_recording import PlayedVenue
from support.own_topics import OwnTopics
from support.reader_records import CONID, contract, tick
from support.redis import RedisServer
from support.stream import KAFKA

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def filled() -> Iterator[OwnTopics]:
    """Topics with a contract, and ten ticks of now."""
    with pytest.MonkeyPatch.context() as patch, OwnTopics() as own:
        patch.setattr(reader_records, "AT_MS", int(time.time()) // 60 * 60_000)
        own.write([contract(), *(tick(number, price=f"71.{90 + number}") for number in range(10))])
        own.write([tick(1, conid=CONID + 1, symbol="CLF7", price="72.00")])
        yield own


def test_pandas_makes_bars(filled: OwnTopics) -> None:
    bars = example("pandas_bars").bars(KAFKA, filled.topics)
    assert list(bars.index.get_level_values("symbol")) == ["CLF7", "CLZ6"]
    assert bars.loc["CLZ6"].iloc[0].to_dict() == {
        "open": 71.9,
        "high": 71.99,
        "low": 71.9,
        "close": 71.99,
        "updates": 10,
    }


def test_polars_finds_spreads(filled: OwnTopics) -> None:
    spreads = example("polars_spreads").spreads(KAFKA, filled.topics)
    assert {row["symbol"]: row["quotes"] for row in spreads.to_dicts()} == {"CLZ6": 10, "CLF7": 1}
    assert spreads["spread"][0] == pytest.approx(0.02)


def test_clickhouse_has_prices(tmp_path: Path) -> None:
    stores = pytest.importorskip("support.clickhouse_store")
    store = stores.Store(tmp_path)
    try:
        store.start()
        store.write(contract(), tick(1, price="71.90"))
        store.settle()
        engine = sys.modules["support.clickhouse"]
        (row,) = example("clickhouse_prices").prices(
            store.engine.url, engine.ADMIN, engine.PASSWORD, store.layout.database
        )
        assert (row["symbol"], str(row["price"]).rstrip("0"), row["unit"]) == ("CLZ6", "71.9", "USD")
        assert row["state"].startswith("live")
    finally:
        store.close()


def test_redis_has_prices(tmp_path: Path, filled: OwnTopics) -> None:
    sinks = pytest.importorskip("support.sinks")
    with RedisServer(tmp_path) as server:
        sink = sinks.RedisSink(sinks.RedisSettings(server.url), filled.source())
        with sinks.Running(sink) as running:
            found: list[tuple[str, str, float]] = []
            while len(found) < 2:
                assert running.failure is None, running.failure
                time.sleep(0.05)
                found = list(example("redis_prices").prices(server.url, "energy"))
    assert [(symbol, price) for symbol, price, _ in found] == [("CLF7", "72.00"), ("CLZ6", "71.99")]
    assert all(0 <= age < 120 for _, _, age in found)


async def test_notebook_draws_a_live_plot(filled: OwnTopics, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = json.loads((EXAMPLES / "live_plot.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    pictures: list[str] = []

    def display(picture: str, *, display_id: bool) -> types.SimpleNamespace:
        pictures.append(picture)
        return types.SimpleNamespace(update=pictures.append)

    module = types.ModuleType("IPython")
    module.__dict__["display"] = types.SimpleNamespace(SVG=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython", module)
    names: dict[str, Any] = {}
    for number, cell in enumerate(cells):
        if number == 1:
            names |= {"SERVERS": KAFKA, "TOPICS": filled.topics, "SECONDS": 2.0}
        code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, names)
        if isinstance(running, Awaitable):
            await running
    assert len(pictures) == 10
    assert "71.99" in pictures[-1]
    assert pictures[-1].count(",") == 10


async def test_configuration_runs_a_second_venue(tmp_path: Path) -> None:
    text = (EXAMPLES / "kraken.toml").read_text()
    async with PlayedVenue(channels=("book", "trade")) as venue:
        (tmp_path / "kraken.toml").write_text(text.replace("depth = 10", f'depth = 10, url = "{venue.url}"'))
        (tmp_path / "kraken_desk.py").write_text((EXAMPLES / "kraken_desk.py").read_text())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from ibfeed.cli.main import main; main()", "run", str(tmp_path / "kraken.toml")),
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=asyncio.subprocess.PIPE,
        )
        lines: list[str] = []
        assert process.stdout is not None
        async with asyncio.timeout(30):
            while "at 45289.9" not in "".join(lines[-1:]):
                lines.append((await process.stdout.readline()).decode())
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
    assert sum("missing: BTC/USD" in line for line in lines) == 3
    assert process.returncode == 0


def test_examples_are_short() -> None:
    scripts = [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.sql"), *EXAMPLES.glob("*.toml")]
    assert {path.name: count for path in scripts if (count := len(path.read_text().splitlines())) > 40} == {}
