"""A real schema registry (Apicurio) for one test file, a process of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from support.cluster import STATE
from support.ports import free_port

HOME = STATE / "registry"


class Registry:
    """The registry, with what it knows in memory. ``url`` is where Confluent's API begins."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "registry.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = {
            **os.environ,
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self.port),
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(free_port()),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [HOME / "java", "-Xmx384m", "-jar", HOME / "quarkus-run.jar"],
                cwd=self._log.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 180
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, f"the registry did not answer: {self._log.read_text()[-2000:]}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End it; what it knew is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def subjects(self) -> list[str]:
        found: list[str] = httpx.get(f"{self.url}/subjects", timeout=10).json()
        return found

    def schema(self, number: int) -> str:
        text: str = httpx.get(f"{self.url}/schemas/ids/{number}", timeout=10).json()["schema"]
        return text

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/subjects", timeout=2).status_code == 200
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
