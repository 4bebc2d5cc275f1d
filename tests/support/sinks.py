"""Sinks as tests run them: in a thread, or in a process that can be killed."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ibfeed
from ibfeed_platform.sinks.progress import Processor
from ibfeed_platform.sinks.redis import RedisSettings, RedisSink
from ibfeed_platform.sinks.source import KafkaSource

WAIT_S = 60.0


def wait_for(what: Callable[[], Any], why: str, limit_s: float = WAIT_S) -> Any:
    """Return the first true value of ``what``. Fails after the limit."""
    deadline = time.monotonic() + limit_s
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {limit_s:g} s: {why}"
        time.sleep(0.02)
    return value


class Running:
    """A sink that runs in a thread until the end of the block. A sink that fails keeps its error in ``failure``."""

    def __init__(self, sink: Processor) -> None:
        self.sink = sink
        self.failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the sink did not end"

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            if task.get_name() == "sink":
                task.cancel()

    def _run(self) -> None:
        task = self._loop.create_task(self.sink.run(), name="sink")
        try:
            self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.failure = error
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class RedisSinkProcess:
    """A Redis sink in a process of its own."""

    def __init__(self, settings: RedisSettings, source: KafkaSource, log: Path) -> None:
        self._arguments = json.dumps(
            {
                "settings": dataclasses.asdict(settings),
                "source": {**dataclasses.asdict(source), "topics": dataclasses.asdict(source.topics)},
            }
        )
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "support.sinks", self._arguments], env=environment, stdout=log, stderr=log
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            assert self._process.poll() is None, self._log.read_text()
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _main(arguments: str) -> None:
    told = json.loads(arguments)
    told["source"]["topics"] = ibfeed.Topics(**told["source"]["topics"])
    asyncio.run(RedisSink(RedisSettings(**told["settings"]), KafkaSource(**told["source"])).run())


if __name__ == "__main__":
    _main(sys.argv[1])
