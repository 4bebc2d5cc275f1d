"""ibeam as in its container: alone with its processes, a gateway distribution, a browser, a display."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import httpx

from support.clients import python
from support.cluster import eventually
from support.gateway import under_names
from support.ports import free_port

# It runs in a process namespace. ibeam looks for the gateway by its name, and would use or end a foreign one.
_ALONE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
INTERVAL_S = 5
# Its browser always listens on port 9222 for its driver, so one ibeam runs on a machine at a time. The claim ends with
# the process that has it.
_CLAIM = "\0ibfeed-test-ibeam"


class Ibeam:
    """A running ibeam. ``gateway`` is an unpacked distribution whose ``root/conf.yaml`` has port and upstream.

    ``options`` go to ibeam as ``IBEAM_…``, and ``environment`` as it is. The gateway inherits it, and the names in
    ``hosts``.
    """

    def __init__(
        self,
        gateway: Path,
        url: str,
        folder: Path,
        account: tuple[str, str],
        environment: dict[str, str],
        hosts: Path | None = None,
        **options: object,
    ) -> None:
        self.health = free_port()
        self.log = folder / "ibeam.log"
        for name in ("inputs", "outputs"):
            (folder / name).mkdir()
        # Chromium puts a socket below it, and a socket's path must be short.
        self._temporary = TemporaryDirectory(prefix="ibeam-", ignore_cleanup_errors=True)
        settings = {
            "ACCOUNT": account[0],
            "PASSWORD": account[1],
            "GATEWAY_DIR": gateway,
            "GATEWAY_BASE_URL": url,
            "CHROME_DRIVER_PATH": shutil.which("chromedriver"),
            "HEALTH_SERVER_PORT": self.health,
            "MAINTENANCE_INTERVAL": INTERVAL_S,
            "INPUTS_DIR": folder / "inputs",
            "OUTPUTS_DIR": folder / "outputs",
            "LOG_TO_FILE": False,
            **options,
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            **{f"IBEAM_{name}": str(value) for name, value in settings.items()},
            "TMPDIR": self._temporary.name,
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._command: list[str | Path] = [
            *_ALONE,
            *under_names(hosts),
            python("login-client"),
            "-m",
            "ibeam.ibeam_starter",
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._claim = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        eventually(self._is_alone, within=400, what="another test's ibeam has ended", every=0.5)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the whole namespace with its first process. ibeam itself leaves its gateway behind."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        eventually(self._is_removed, within=10, what="ibeam's temporary folder is removed")
        self._claim.close()

    def _is_removed(self) -> bool:
        """Remove the folder; return whether it is gone. Processes of the namespace may still write for a moment."""
        self._temporary.cleanup()
        return not Path(self._temporary.name).exists()

    def _is_alone(self) -> bool:
        try:
            self._claim.bind(_CLAIM)
        except OSError:
            return False
        return True

    def asks(self, path: str) -> int:
        """Return the status of its health server's answer, or 0 while there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.health}{path}", timeout=20, trust_env=False).status_code
        except httpx.TransportError:
            return 0

    def said(self, text: str) -> int:
        """Return how often its log has a text."""
        return self.log.read_text(errors="replace").count(text)
