"""``ibfeed inspect`` and ``export``, and what the arguments of ``record`` and ``replay`` mean."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import typer
from typer.testing import CliRunner

from ibfeed.cli import recording
from ibfeed.cli.main import app
from ibfeed.cli.recording import parse_properties
from ibfeed.errors import RecordingError
from ibfeed.recording.files import Folder
from ibfeed.recording.records import Batch
from support.recordings import HEADERS, ticks

read_table: Any = pyarrow.parquet.read_table


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    folder = Folder(tmp_path / "recording")
    for conid, symbol in ((1, "CLZ6"), (2, "NGF7")):
        found = ticks(40, conid=conid, symbol=symbol, seed=conid)
        times, values = [time for time, _ in found], [value for _, value in found]
        key = str(conid).encode()
        folder.append(Batch("ticklast", 0, key, list(range(conid, 80 + conid, 2)), times, [HEADERS] * 40, [*values]))
    folder.close()
    return folder.path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_inspect_tells_each_contract(recorded: Path) -> None:
    code, told = run("inspect", recorded, "-o", "json")
    rows = json.loads(told)
    assert code == 0
    assert [(row["name"], row["day"], row["count"], row["damage"]) for row in rows] == [
        ("CLZ6", "2026-11-26", 40, []),
        ("NGF7", "2026-11-26", 40, []),
    ]
    assert rows[0]["bytes"] == Path(rows[0]["file"]).stat().st_size
    code, told = run("inspect", recorded)
    assert "CLZ6" in told
    assert "NGF7" in told


def test_inspect_tells_damage_with_its_place(recorded: Path) -> None:
    path = next(recorded.rglob("1.ibrec"))
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"torn")
    code, told = run("inspect", path, "-o", "json")
    assert code == 3
    assert json.loads(told)[0]["damage"] == [{"offset": size, "bytes": 4, "torn": True}]
    assert f"torn end at byte {size:,}, 4 bytes lost" in run("inspect", path)[1]


def test_export_writes_the_readers_columns(recorded: Path, tmp_path: Path) -> None:
    code, _ = run("export", recorded, "--to", tmp_path / "ticks.parquet")
    table = read_table(tmp_path / "ticks.parquet")
    assert code == 0
    assert table.num_rows == 80
    assert set(table["symbol"].to_pylist()) == {"CLZ6", "NGF7"}
    assert list(tmp_path.glob("*.part")) == []


def test_export_of_some_symbols_and_times(recorded: Path, tmp_path: Path) -> None:
    until = "2026-11-26T00:00:10"
    run("export", recorded, "--to", tmp_path / "some.parquet", "--symbols", "NGF7", "--until", until)
    table = read_table(tmp_path / "some.parquet")
    assert set(table["symbol"].to_pylist()) == {"NGF7"}
    assert 0 < table.num_rows < 40


def test_export_of_nothing_is_told(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no Tick of that time"):
        run("export", recorded, "--to", tmp_path / "none.parquet", "--symbols", "ESZ6")
    assert list(tmp_path.glob("none*")) == []


def test_properties_are_read_and_not_shown() -> None:
    text = "# who we are\nsasl.username = reader\n\nsasl.password=a=b\n"
    assert parse_properties(text) == {"sasl.username": "reader", "sasl.password": "a=b"}
    with pytest.raises(RecordingError, match=r"^line 2 of the properties is not name=value: correct it$"):
        parse_properties("a=b\nsecret")


def test_speed_is_a_number_or_max() -> None:
    assert recording._speed("max") is None
    assert recording._speed("2.5") == 2.5
    for text in ("0", "-1", "fast", "nan", "inf"):
        with pytest.raises(typer.BadParameter, match="is no speed"):
            recording._speed(text)


@pytest.fixture
def new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
def test_time_without_an_offset_is_utc() -> None:
    assert recording._moment("2026-11-26T00:00", "--from") == 1_795_651_200_000
    assert recording._moment("2026-11-26T01:00+01:00", "--from") == 1_795_651_200_000
    with pytest.raises(typer.BadParameter, match="is no time"):
        recording._moment("yesterday", "--from")
