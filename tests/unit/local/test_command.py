from __future__ import annotations

import time
from pathlib import Path

import pytest

from ibfeed_local import command
from ibfeed_local.problem import ProblemError


def test_a_failure_shows_the_last_lines_of_the_log_its_path_and_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    with pytest.raises(ProblemError) as caught:
        command.run(["sh", "-c", "seq 100; echo no space left >&2; exit 3"], log, remedy="Free some.")
    told = str(caught.value)
    assert "exit code 3" in told
    assert str(log) in told
    assert "no space left" in told
    assert "    99\n" in told
    assert "    50\n" not in told
    assert told.endswith("Free some.")


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    began = time.monotonic()
    with pytest.raises(ProblemError, match="did not end within"):
        command.run(["sh", "-c", f"(sleep 2; touch {mark}) & wait"], tmp_path / "log", within=0.2)
    assert time.monotonic() - began < 2
    time.sleep(2)
    assert not mark.exists()


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="no program ibfeed-nonesuch"):
        command.run(["ibfeed-nonesuch"], tmp_path / "log")
    with pytest.raises(ProblemError, match="no program ibfeed-nonesuch"):
        command.output(["ibfeed-nonesuch"])


def test_output_tells_what_was_said_on_failure() -> None:
    assert command.output(["cat"], given="text") == "text"
    with pytest.raises(ProblemError, match="refused"):
        command.output(["sh", "-c", "echo refused >&2; exit 1"])
