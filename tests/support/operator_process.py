"""The operator as a process of its own, with the rights of ``manifests/operator/rbac.yaml`` and no others."""

from __future__ import annotations

import os
import subprocess
import sys

from support.cluster import ROOT
from support.control_plane import OPERATOR, ControlPlane

RUN = (
    "import asyncio, os;"
    "from ibfeed_operator.main import operate, settings_from_environment;"
    "asyncio.run(operate(settings_from_environment(os.environ), port=int(os.environ['TEST_PORT'])))"
)


class Operator:
    """The operator's process; ``kill`` is SIGKILL."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "KUBECONFIG": str(self._plane.kubeconfig(OPERATOR)),
            "PYTHONPATH": f"{ROOT / 'api'}:{ROOT / 'operator'}",
            "IBFEED_WORKER_IMAGE": "ibfeed/worker",
            "POD_NAMESPACE": "ibfeed-system",
            "TEST_PORT": "0",
        }
        with (self._plane.directory / "operator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", RUN], env=environment, stdout=log, stderr=log, cwd=self._plane.directory
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
