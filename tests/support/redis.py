"""A real Redis for tests, on a port and in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from support.ports import free_port

_START_S = 20.0


def hash_of(client: redis.Redis, key: str) -> dict[str, str]:
    """A hash, of a client that gives texts."""
    return {str(name): str(text) for name, text in client.hgetall(key).items()}


class RedisServer:
    """A server that keeps each write in a file before it confirms it, so that ``kill -9`` loses nothing.

    Args:
        folder: where it keeps its files.
        acl: lines of an ACL file; empty: everybody may do all.
        durable: whether it keeps its data over a restart.
    """

    def __init__(self, folder: Path, acl: Iterable[str] = (), *, durable: bool = True) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._acl = folder / "users.acl"
        self._acl.write_text("".join(f"{line}\n" for line in acl))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing: install the package of that name"
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        arguments += ["--appendonly", "yes" if self._durable else "no", "--appendfsync", "always"]
        if self._acl.stat().st_size:
            arguments += ["--aclfile", str(self._acl)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([program, *arguments], stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert time.monotonic() < deadline and self._process.poll() is None, self.log()
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as ``kill -9`` does."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def client(self, user: str | None = None, password: str | None = None) -> redis.Redis:
        return redis.Redis.from_url(self.url, username=user, password=password, decode_responses=True)

    def log(self) -> str:
        return (self._folder / "redis.log").read_text()

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                client.ping()
            except (redis.AuthenticationError, redis.ResponseError):
                return True  # it is up, and asks who we are
            except (redis.ConnectionError, redis.BusyLoadingError):
                return False
        return True
