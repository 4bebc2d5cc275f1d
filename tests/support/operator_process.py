"""The operator as a process, with the rights of ``manifests/operator/rbac.yaml`` and no others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from support.cluster import ROOT
from support.control_plane import OPERATOR, ControlPlane
from support.ports import free_port

RUN = """
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ibfeed_operator.main import main

def clock():
    return datetime.now(UTC) + timedelta(seconds=float(Path("clock").read_text()))

main(port=int(os.environ["HTTP_PORT"]), clock=clock)
"""


class Operator:
    """The operator's process. ``kill`` is SIGKILL. After another start it is the next container of the same ``pod``.

    ``source``: the tree that it is of. ``kept``: it is started again when it ends by itself, as a kubelet does. On a
    busy machine a leader may not be able to renew its Lease in time.
    """

    def __init__(
        self,
        plane: ControlPlane,
        pod: str = "ibfeed-operator-a",
        kubeconfig: Path | None = None,
        *,
        kept: bool = True,
        source: Path = ROOT,
    ) -> None:
        self._kept = kept
        self._source = source
        self._plane = plane
        self._kubeconfig = kubeconfig or plane.kubeconfig(OPERATOR)
        self.pod = pod
        self.http_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.turn_clock(datetime.now(UTC))

    def turn_clock(self, to: datetime) -> None:
        """Set the operator's clock to ``to``. Time goes on from there."""
        ahead = self._plane.directory / "clock.new"
        ahead.write_text(str((to - datetime.now(UTC)).total_seconds()))
        ahead.rename(self._plane.directory / "clock")

    @property
    def log(self) -> Path:
        return self._plane.directory / "operator.log"

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": f"{self._source / 'api'}:{self._source / 'operator'}",
            "IBFEED_WORKER_IMAGE": "ibfeed/worker",
            "IBFEED_SINK_IMAGE": "ibfeed/platform",
            "HTTP_PORT": str(self.http_port),
            "POD_NAMESPACE": "ibfeed-system",
            "POD_NAME": self.pod,
            "POD_UID": self.pod,
        }

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", RUN], env=self._environment(), stdout=log, stderr=log, cwd=self._plane.directory
            )
        if self._kept:
            threading.Thread(target=self._keep, args=(self._process,), daemon=True).start()

    def _keep(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if self._process is process:
            self.start()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> int | None:
        """Return its exit status, or None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


# A start takes time because of its imports. The children of this process have made them already.
NURSERY = """
import contextlib, os, signal, sys
from ibfeed_operator.main import main
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
child = 0
for _ in sys.stdin:
    child = os.fork()
    if not child:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        with contextlib.suppress(SystemExit):
            main(port=0)
        os._exit(0)
    print(child, flush=True)
if child:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
"""


class QuickOperator(Operator):
    """An operator that starts again in a moment, for tests that kill it often."""

    def __init__(self, plane: ControlPlane, kubeconfig: Path) -> None:
        super().__init__(plane, kubeconfig=kubeconfig)
        with self.log.open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=plane.directory,
            )
        self._child = 0

    def start(self) -> None:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(b"\n")
        self._nursery.stdin.flush()
        self._child = int(self._nursery.stdout.readline())

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)

    def keep(self) -> None:
        """Start it again if it has ended by itself."""
        try:
            os.kill(self._child, 0)
        except ProcessLookupError:
            self.start()

    def close(self) -> None:
        self._nursery.communicate(timeout=10)
