"""The gateway process: its start, watch and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ibfeed_api.log import Log
from ibfeed_worker.config import Config
from ibfeed_worker.gateway import distribution, leftover
from ibfeed_worker.gateway.distribution import DistributionError
from ibfeed_worker.gateway.pin import PinnedTls, pin
from ibfeed_worker.gateway.tail import Sign, sign_of
from ibfeed_worker.gateway.tunnel import Tunnel
from ibfeed_worker.runtime.processes import kill_tree
from ibfeed_worker.runtime.tasks import first

# IB's gateway prints the first and logs the second. It listens 0.3 to 0.9 s later.
_READY: Final = ("Open https://localhost:", "Server listening on port")
START_LIMIT_S: Final = 60.0  # seconds until it shows its certificate; allows for a JVM on a busy node
_KNOCK_EVERY: Final = 0.05
_STOP_LIMIT: Final = 2.0
_LINE_LIMIT: Final = 500
_LAST_WORDS_S: Final = 0.05
_KEPT_LINES: Final = 20
_LOGGED_PER_MINUTE: Final = 30
_HEAP: Final = "-Xmx256m"
_PASSED_ON: Final = ("PATH", "LANG", "TZ", "JAVA_HOME")
_log = Log(__name__)


class GatewayFailedError(Exception):
    """The gateway did not start; the text says why."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The settings of a gateway process."""

    folder: Path  # the distribution
    run_folder: Path  # ours to write to
    port: int
    upstream: str
    extra_ca: Path | None
    certificate: str | None  # SHA-256 from the feed's spec
    tunnel: Tunnel | None = None  # to the upstream, where that is behind a proxy

    @classmethod
    def of(cls, config: Config) -> GatewaySettings:
        return cls(
            folder=config.gateway_folder,
            run_folder=config.run_folder,
            port=config.gateway_port,
            upstream=config.spec.gateway.upstream,
            extra_ca=config.extra_ca,
            certificate=config.spec.gateway.certificate_sha256,
        )


class _Output(asyncio.SubprocessProtocol):
    """The process's output, cut into lines, and its end.

    ``exited`` is set when the process ends, even if another one still holds its pipe.
    (``asyncio.subprocess.Process.wait`` returns only once the pipe is closed, which a grandchild may keep open.)
    ``sick`` is set when the log shows a fatal fault, with that line as ``complaint``.
    """

    def __init__(self, on_line: Callable[[Sign], None]) -> None:
        self._on_line = on_line
        self.exited: Final = asyncio.Event()
        self.sick: Final = asyncio.Event()
        self.complaint = ""
        self.ready: Final = asyncio.Event()
        self.tail: Final = deque[str](maxlen=_KEPT_LINES)
        self._rest = b""
        self._window, self._logged = time.monotonic(), 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-_LINE_LIMIT:]
        for line in lines:
            self._take(line.decode(errors="replace").strip()[:_LINE_LIMIT])

    def process_exited(self) -> None:
        self.exited.set()

    def _take(self, line: str) -> None:
        if not line:
            return
        self.tail.append(line)
        sign = sign_of(line)
        self._on_line(sign)
        if sign is Sign.FATAL and not self.sick.is_set():
            self.complaint = line
            self.sick.set()
        if any(marker in line for marker in _READY):
            self.ready.set()
        now = time.monotonic()
        if now - self._window > 60:
            self._window, self._logged = now, 0
        self._logged += 1
        if self._logged <= _LOGGED_PER_MINUTE:
            _log.info("gateway says", line=line)


class Gateway:
    """One running gateway process.

    ``died`` is set when it ends, for whatever reason. ``sick`` is set when only a new process would help.
    """

    tls: PinnedTls

    def __init__(self, transport: asyncio.SubprocessTransport, output: _Output, work: Path, port: int) -> None:
        self.url: Final = f"https://127.0.0.1:{port}"
        self.websocket_url: Final = f"wss://127.0.0.1:{port}/v1/api/ws"
        self.login_url: Final = f"https://localhost:{port}/"
        self.pid: Final = transport.get_pid() or 0
        self.died: Final = output.exited
        self.sick: Final = output.sick
        self._port: Final = port
        self._transport = transport
        self._output = output
        self._work = work
        # A process that outlives its shell, such as a JVM on our port, is killed with it.
        self._burying = asyncio.create_task(self._bury(), name="gateway")

    @property
    def complaint(self) -> str:
        """The line that made it ``sick``."""
        return self._output.complaint

    @property
    def tail(self) -> str:
        """The last line that it printed, for a person."""
        return self._output.tail[-1] if self._output.tail else "nothing"

    async def ready(self, fingerprint: str, limit: float) -> PinnedTls:
        """Wait until it listens, ``limit`` seconds at most, and pin its certificate.

        The certificate's SHA-256 must be ``fingerprint`` (hex). Raises GatewayFailedError, DistributionError or
        CertificateError.
        """
        refusal: OSError | None = None
        try:
            async with asyncio.timeout(limit):
                await first(self._output.ready.wait(), self.died.wait(), self.sick.wait())
                while not (self.died.is_set() or self.sick.is_set()):
                    try:
                        return await pin("127.0.0.1", self._port, fingerprint)
                    except OSError as error:  # refused, or no TLS yet
                        refusal = error
                    await asyncio.sleep(_KNOCK_EVERY)
        except TimeoutError:
            raise GatewayFailedError(self._why_late(refusal, limit)) from None
        if self.sick.is_set() and not self.died.is_set():
            raise GatewayFailedError(f"its log says: {self.complaint}")
        await self._burying  # its last lines may still be on their way
        raise DistributionError(
            f"the gateway ended at once with exit status {self._transport.get_returncode()}; "
            f"it last said: {self.tail}; check the gateway archive in the worker image"
        )

    def _why_late(self, refusal: OSError | None, limit: float) -> str:
        if not self._output.ready.is_set():
            return f"the gateway did not say within {limit:g} s that it listens; it last said: {self.tail}"
        text = refusal.strerror or str(refusal) or type(refusal).__name__ if refusal is not None else "no answer"
        return (
            f"the gateway says that it listens, but port {self._port} did not take a TLS connection within "
            f"{limit:g} s of its start: {text}; it last said: {self.tail}"
        )

    async def stop(self) -> None:
        """End the process and all below it; remove its files."""
        if not self.died.is_set():
            os.killpg(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_LIMIT):
                    await self.died.wait()
        if not self.died.is_set():
            kill_tree(self.pid)
        await self._burying
        self._transport.close()
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)

    async def _bury(self) -> None:
        await self.died.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.sleep(_LAST_WORDS_S)


async def start(
    settings: GatewaySettings, on_line: Callable[[Sign], None] = lambda _: None, *, limit: float = START_LIMIT_S
) -> Gateway:
    """Start the gateway, wait at most ``limit`` seconds until it listens, and pin its certificate.

    ``on_line`` is called with the sign of each line of its log. Raises DistributionError, PortTakenError,
    GatewayFailedError, CertificateError or OSError.
    """
    note, work = settings.run_folder / "gateway.json", settings.run_folder / "gateway"
    await asyncio.to_thread(leftover.free, note, settings.port)
    await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    fingerprint = distribution.fingerprint(settings.folder, settings.certificate)
    work.mkdir(parents=True, mode=0o700)
    try:
        await asyncio.to_thread(
            distribution.copy, settings.folder, work / "home", port=settings.port, upstream=settings.upstream
        )
        transport, output = await _spawn(work, await asyncio.to_thread(_environment, settings, work), on_line)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        raise
    gateway = Gateway(transport, output, work, settings.port)
    leftover.note(note, gateway.pid)
    try:
        gateway.tls = await gateway.ready(fingerprint, limit)
    except BaseException:
        await gateway.stop()
        raise
    return gateway


async def _spawn(
    work: Path, environment: Mapping[str, str], on_line: Callable[[Sign], None]
) -> tuple[asyncio.SubprocessTransport, _Output]:
    try:
        return await asyncio.get_running_loop().subprocess_exec(
            partial(_Output, on_line),
            "bin/run.sh",
            "root/conf.yaml",
            cwd=work / "home",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise DistributionError(f"bin/run.sh of the gateway archive can't be run: {error.strerror}") from None


def _environment(settings: GatewaySettings, work: Path) -> Mapping[str, str]:
    java = [_HEAP, "-Djava.net.preferIPv4Stack=true", f"-Djava.io.tmpdir={work}"]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"HOME": str(work)}
    if settings.tunnel is not None:
        java += [f"-Djdk.net.hosts.file={settings.tunnel.write_hosts(work / 'hosts')}"]
    if settings.extra_ca is not None:
        store, pem = distribution.trust(settings.extra_ca, work)
        java += [
            f"-Djavax.net.ssl.trustStore={store}",
            f"-Djavax.net.ssl.trustStorePassword={distribution.TRUST_STORE_PASSWORD}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
        ]
        environment["GATEWAY_UPSTREAM_CA"] = str(pem)  # for a distribution that is not written in Java
    return environment | {"JAVA_TOOL_OPTIONS": " ".join(java)}
