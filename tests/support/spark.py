"""The hot store's Spark job as a process of this machine: Spark in local mode, with one or two tasks at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ibfeed import Topics
from ibfeed_local import peers, spark
from ibfeed_local.state import SOURCE, State
from support.ports import free_port

_FILE = SOURCE / "platform" / "ibfeed_platform" / "spark" / "__main__.py"
_START_S = 180.0  # on two busy cores; alone it takes 15 s
# The processor that the translation of byte code takes would not come back in the minute that a test runs.
_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"


class SparkJob:
    """One job. Its checkpoint is in ``folder``, so that the next start goes on where the one before came to.

    Args:
        kafka: bootstrap servers.
        redis: the URL of the hot store.
        options: further arguments of the job.
        secrets: variables that the job gets besides.
    """

    def __init__(
        self,
        folder: Path,
        *,
        kafka: str,
        feed: str,
        topics: Topics,
        redis: str,
        options: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "spark.log"
        self.ui = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = folder
        self._secrets = dict(secrets or {})
        names = {"ticks": topics.ticks, "books": topics.books, "events": topics.events, "contracts": topics.contracts}
        told = {"kafka": kafka, "feed": feed, "redis": redis, "checkpoint": str(folder / "checkpoint")}
        told |= {f"{kind}-topic": name or "" for kind, name in names.items()}
        state = State.from_environment()
        settings = {
            "spark.ui.port": self.ui.rpartition(":")[2],
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.local.dir": str(folder / "local"),
        }
        self._command = [
            *(str(spark.submit(state)), "--master", "local[1]", "--driver-memory", "512m"),
            *("--driver-class-path", f"{spark.jars(state)}/*", "--driver-java-options", _JAVA),
            *(word for name, value in settings.items() for word in ("--conf", f"{name}={value}")),
            str(_FILE),
            *(word for name, value in (told | dict(options or {})).items() for word in (f"--{name}", value)),
        ]
        self._python = str(peers.python(state, peers.SPARK))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the driver. Its tasks run in a process that it starts."""
        imports = os.pathsep.join(str(SOURCE / part) for part in ("api", "client", "platform"))
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": imports,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYSPARK_PYTHON": self._python,
            "SPARK_LOCAL_IP": "127.0.0.1",
            **self._secrets,
        }
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def await_query(self, times: int = 1) -> None:
        """Wait until the query has started so many times, over all starts of the job."""
        deadline = time.monotonic() + _START_S
        while self.log().count(" has started, run ") < times:
            assert self._process is not None
            assert self._process.poll() is None, self.log()[-4000:]
            assert time.monotonic() < deadline, self.log()[-4000:]
            time.sleep(0.1)

    def kill(self) -> None:
        """End driver and tasks at once, as ``kill -9`` does."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
