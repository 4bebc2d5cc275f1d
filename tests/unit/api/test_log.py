"""What the worker logs, and how much of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from ibfeed_api import log
from ibfeed_api.log import Log
from ibfeed_api.worker_pod import LogLevel

LEVELS = ("debug", "info", "warning", "error")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("ibfeed_worker").level)
    yield
    root.level, root.handlers = before[0], before[1]
    logging.getLogger("ibfeed_worker").setLevel(before[2])
    for name in log._CHATTY:
        logging.getLogger(name).setLevel(logging.NOTSET)


def logged(capsys: pytest.CaptureFixture[str], *loggers: str) -> dict[str, list[str]]:
    """Each level of each logger, as far as it was written."""
    for name in loggers:
        for level in LEVELS:
            getattr(Log(name), level)("said")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {name: [line["level"] for line in lines if line["logger"] == name] for name in loggers}


@pytest.mark.parametrize(("level", "first"), [("Debug", 0), ("Info", 1), ("Warning", 2), ("Error", 3)])
def test_level_is_obeyed_at_once(capsys: pytest.CaptureFixture[str], level: str, first: int) -> None:
    log.set_up()
    assert logged(capsys, "ibfeed_worker.x")["ibfeed_worker.x"] == list(LEVELS[1:])
    log.set_level(LogLevel(level))
    assert logged(capsys, "ibfeed_worker.x")["ibfeed_worker.x"] == list(LEVELS[first:])


def test_libraries_say_no_more_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    log.set_up()
    log.set_level(LogLevel.DEBUG)
    assert logged(capsys, "httpx", "pykube") == {"httpx": ["warning", "error"], "pykube": ["info", "warning", "error"]}
    log.set_level(LogLevel.ERROR)
    assert logged(capsys, "httpx", "pykube") == {"httpx": ["error"], "pykube": ["error"]}
