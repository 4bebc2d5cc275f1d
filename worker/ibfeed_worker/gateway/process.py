"""Start, watch and stop the gateway process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ibfeed_worker.gateway import distribution, leftover
from ibfeed_worker.gateway.distribution import BrokenDistribution
from ibfeed_worker.gateway.pin import PinnedTls, pin
from ibfeed_worker.log import Log
from ibfeed_worker.processes import kill_tree
from ibfeed_worker.race import cancel

# IB's prints the first when it can be logged in to; the second is what its log says.
_READY: Final = ("Open https://localhost:", "Server listening on port")
_START_LIMIT: Final = 60.0  # seconds; a JVM on a busy node
_STOP_LIMIT: Final = 2.0
_LINE_LIMIT: Final = 64 * 1024
_KEPT_LINES: Final = 20
_LOGGED_PER_MINUTE: Final = 30
_HEAP: Final = "-Xmx256m"
_PASSED_ON: Final = ("PATH", "LANG", "TZ", "JAVA_HOME")
_log = Log(__name__)


class GatewayFailed(Exception):
    """The gateway did not start; the text says why."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    folder: Path
    port: int
    upstream: str
    extra_ca: Path | None
    certificate: str | None  # SHA-256 from the feed's spec


class Gateway:
    """One running gateway process. ``died`` is set when it ends, for whatever reason."""

    def __init__(self, process: asyncio.subprocess.Process, work: Path, port: int) -> None:
        self.died: Final = asyncio.Event()
        self.url: Final = f"https://127.0.0.1:{port}"
        self.websocket_url: Final = f"wss://127.0.0.1:{port}/v1/api/ws"
        self.login_url: Final = f"https://localhost:{port}/"
        self._process = process
        self._work = work
        self._ready = asyncio.Event()
        self._tail: deque[str] = deque(maxlen=_KEPT_LINES)
        self._reading = asyncio.create_task(self._read(), name="gateway output")
        self._waiting = asyncio.create_task(self._wait(), name="gateway process")
        self.tls: PinnedTls

    @property
    def tail(self) -> str:
        """The last thing it said, for a person."""
        return self._tail[-1] if self._tail else "nothing"

    async def stop(self) -> None:
        """End the process and all below it; remove its files."""
        if not self.died.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_LIMIT):
                    await self.died.wait()
        if not self.died.is_set():
            kill_tree(self._process.pid)
        await self._waiting
        await cancel(self._reading)
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)

    async def ready(self) -> None:
        """Wait until it listens. Raises GatewayFailed or BrokenDistribution."""
        ready = asyncio.create_task(self._ready.wait())
        died = asyncio.create_task(self.died.wait())
        try:
            async with asyncio.timeout(_START_LIMIT):
                await asyncio.wait((ready, died), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise GatewayFailed(
                f"the gateway did not say within {_START_LIMIT:g} s that it listens; it last said: {self.tail}"
            ) from None
        finally:
            await cancel(ready, died)
        if not self._ready.is_set():
            raise BrokenDistribution(
                f"the gateway ended at once with exit status {self._process.returncode}; it last said: {self.tail}; "
                "check the gateway archive in the worker image"
            )

    async def _wait(self) -> None:
        await self._process.wait()
        with contextlib.suppress(ProcessLookupError):  # what outlived its shell, such as a JVM on our port
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait((self._reading,), timeout=0.5)  # its last words
        self.died.set()

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - we asked for a pipe
        window, logged = time.monotonic(), 0
        while True:
            try:
                raw = await self._process.stdout.readline()
            except ValueError:  # a line over the limit; the stream has dropped it
                continue
            if not raw:
                return
            line = raw.decode(errors="replace").strip()[:500]
            if not line:
                continue
            self._tail.append(line)
            if any(marker in line for marker in _READY):
                self._ready.set()
            if time.monotonic() - window > 60:
                window, logged = time.monotonic(), 0
            logged += 1
            if logged <= _LOGGED_PER_MINUTE:
                _log.info("gateway says", line=line)


async def start(settings: GatewaySettings) -> Gateway:
    """Start the gateway, wait until it listens, pin its certificate.

    Raises BrokenDistribution, PortTaken, GatewayFailed, WrongCertificate, OSError or TimeoutError.
    """
    note = Path(tempfile.gettempdir()) / f"ibfeed-gateway-{settings.port}.json"
    await asyncio.to_thread(leftover.free, note, settings.port)
    fingerprint = distribution.fingerprint(settings.folder, settings.certificate)
    work = Path(tempfile.mkdtemp(prefix="ibfeed-gateway-"))
    try:
        await asyncio.to_thread(
            distribution.copy, settings.folder, work / "gateway", port=settings.port, upstream=settings.upstream
        )
        process = await _spawn(work, await asyncio.to_thread(_environment, settings, work))
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        raise
    leftover.note(note, process.pid)
    gateway = Gateway(process, work, settings.port)
    try:
        await gateway.ready()
        gateway.tls = await pin("127.0.0.1", settings.port, fingerprint)
    except BaseException:
        await gateway.stop()
        raise
    return gateway


async def _spawn(work: Path, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            "bin/run.sh",
            "root/conf.yaml",
            cwd=work / "gateway",
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT,
            start_new_session=True,
        )
    except OSError as error:
        raise BrokenDistribution(f"bin/run.sh of the gateway archive can't be run: {error.strerror}") from None


def _environment(settings: GatewaySettings, work: Path) -> Mapping[str, str]:
    java = [_HEAP, "-Djava.net.preferIPv4Stack=true", f"-Djava.io.tmpdir={work}"]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"HOME": str(work)}
    if settings.extra_ca is not None:
        store, pem = distribution.trust(settings.extra_ca, work)
        java += [
            f"-Djavax.net.ssl.trustStore={store}",
            f"-Djavax.net.ssl.trustStorePassword={distribution.TRUST_STORE_PASSWORD}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
        ]
        environment["GATEWAY_UPSTREAM_CA"] = str(pem)  # for a distribution that is not written in Java
    return environment | {"JAVA_TOOL_OPTIONS": " ".join(java)}
