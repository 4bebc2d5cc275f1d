"""The simulator on this host: a venue process on free ports, and the gateway stand-in's distribution, unpacked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from support.cluster import ROOT
from support.ports import free_port

TYPING_S = 0.8  # the venue refuses a form that is sent sooner after typing; quick_forms waits longer


def environment() -> dict[str, str]:
    paths = (ROOT / name for name in ("api", "operator", "worker", "simulator"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


def unpacked_gateway(folder: Path) -> Path:
    """Build the stand-in's distribution and unpack it as an image build would, modes included."""
    archive = folder / "gateway.zip"
    subprocess.run(
        [sys.executable, "-m", "ibfeed_simulator.distribution", "--output", str(archive)],
        env=environment(),
        check=True,
        timeout=120,
        capture_output=True,
    )
    return unpacked(archive, folder / "gateway")


def unpacked(archive: Path, target: Path) -> Path:
    """Unpack a gateway archive as an image build does. The script can be run whatever its mode was."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = Path(opened.extract(entry, target))
            if not entry.is_dir() and (mode := entry.external_attr >> 16 & 0o777):
                path.chmod(mode)
    script = target / "bin" / "run.sh"
    script.chmod(script.stat().st_mode | 0o111)
    return target


@dataclass(frozen=True)
class Place:
    """The address and name of a venue. ``port`` None: a free port, on each address."""

    name: str = "localhost"
    host: str = "127.0.0.1"
    port: int | None = None

    def hosts(self, folder: Path) -> Path:
        """Write a file with the machine's names and this one."""
        file = folder / "hosts"
        file.write_text(f"{Path('/etc/hosts').read_text()}\n{self.host} {self.name}\n")
        return file


# IB's gateway wants its upstream on port 443. It takes it for IB's API only if its name has "api" in it.
FOR_IB = Place("ib-api.ibfeed-simulator.svc", "127.0.0.9", 443)


class Venue:
    """A venue process. ``control`` is a client of its control API."""

    def __init__(self, folder: Path, *options: str, accounts: int = 4, place: Place = Place()) -> None:
        self.port, self.control_port = place.port or free_port(), free_port()
        self.upstream = f"https://{place.name}" + (f":{self.port}" if place.port is None else "")
        if place.port is not None:
            options = ("--host", place.host, *options)
        self._folder = folder
        self._options = options
        self._accounts = accounts
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=f"http://{place.host}:{self.control_port}", trust_env=False, timeout=10)

    @property
    def ca(self) -> Path:
        return self._folder / "ca.crt"

    @property
    def credentials(self) -> dict[str, str]:
        """Return the keys ``username-<i>`` and ``password-<i>`` with their values."""
        found: dict[str, str] = json.loads((self._folder / "accounts.json").read_text())
        return found

    def __enter__(self) -> Self:
        bootstrap = ["-m", "ibfeed_simulator.bootstrap", "--count", str(self._accounts), "--directory"]
        subprocess.run([sys.executable, *bootstrap, str(self._folder)], env=environment(), check=True, timeout=60)
        files = ("--tls-cert", "tls.crt", "--tls-key", "tls.key", "--users", "users.json")
        paths = [word if word.startswith("-") else str(self._folder / word) for word in files]
        ports = ["--port", str(self.port), "--control-port", str(self.control_port)]
        typing = ["--typing-seconds", str(TYPING_S)]
        log = (self._folder / "venue.log").open("wb")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ibfeed_simulator", "venue", *ports, *paths, *typing, *self._options],
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                if self._http.get("/healthz").status_code == 200:
                    return self
            except httpx.TransportError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError((self._folder / "venue.log").read_text()) from None
            time.sleep(0.05)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get("/control/state").json()
        return found

    def user(self, index: int = 1) -> dict[str, Any]:
        found: dict[str, Any] = self.state()["users"][self.credentials[f"username-{index}"]]
        return found

    def fault(self, name: str, **how: Any) -> Any:
        """Set a fault, or make one happen that happens at once."""
        answer = self._http.post(f"/control/faults/{name}", json=how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def clear(self) -> None:
        assert self._http.delete("/control/faults").status_code == 200

    def truth(self) -> list[dict[str, Any]]:
        """Return every market data frame that was sent, with receiver and time."""
        lines, since = list[dict[str, Any]](), 1
        while True:
            answer = self._http.get("/control/truth", params={"since": since})
            lines += [json.loads(line) for line in answer.text.splitlines()]
            following = int(answer.headers["X-Truth-Next"])
            if following == since:
                return lines
            since = following
