"""The operator as a process of its own, with the rights of ``manifests/operator/rbac.yaml`` and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from support.cluster import ROOT
from support.control_plane import OPERATOR, ControlPlane

RUN = """
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ibfeed_operator.main import main

def clock():
    return datetime.now(UTC) + timedelta(seconds=float(Path("clock").read_text()))

main(port=0, clock=clock)
"""


class Operator:
    """The operator's process; ``kill`` is SIGKILL. Started again, it is the next container of the same ``pod``."""

    def __init__(self, plane: ControlPlane, pod: str = "ibfeed-operator-a", kubeconfig: Path | None = None) -> None:
        self._plane = plane
        self._kubeconfig = kubeconfig or plane.kubeconfig(OPERATOR)
        self.pod = pod
        self._process: subprocess.Popen[bytes] | None = None
        self.turn_clock(datetime.now(UTC))

    def turn_clock(self, to: datetime) -> None:
        """Let the operator believe that it is ``to``, and time go on from there."""
        ahead = self._plane.directory / "clock.new"
        ahead.write_text(str((to - datetime.now(UTC)).total_seconds()))
        ahead.rename(self._plane.directory / "clock")

    @property
    def log(self) -> Path:
        return self._plane.directory / "operator.log"

    def start(self) -> None:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._kubeconfig),
            "PYTHONPATH": f"{ROOT / 'api'}:{ROOT / 'operator'}",
            "IBFEED_WORKER_IMAGE": "ibfeed/worker",
            "POD_NAMESPACE": "ibfeed-system",
            "POD_NAME": self.pod,
            "POD_UID": self.pod,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", RUN], env=environment, stdout=log, stderr=log, cwd=self._plane.directory
            )

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ended(self) -> int | None:
        """Its exit status, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
