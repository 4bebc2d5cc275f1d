"""What goes wrong with the control plane: the API server, or its store, is killed or stopped. All can be undone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from ibfeed_local import control_plane, daemons
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State
from support.cluster import eventually

STATE: Final = State.from_environment()


@contextmanager
def stopped(name: str) -> Iterator[None]:
    """SIGSTOP: connections stay open, and nothing answers."""
    pid = _pid(name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        _ready()


@contextmanager
def killed() -> Iterator[None]:
    """`kill -9` of the API server: connections are refused until it is started again."""
    os.kill(_pid("kube-apiserver"), signal.SIGKILL)
    eventually(lambda: not daemons.running(STATE, "kube-apiserver"), within=10, what="the API server has ended")
    try:
        yield
    finally:
        control_plane.start(STATE)
        _ready()


FAULTS: Final[dict[str, Callable[[], AbstractContextManager[None]]]] = {
    "stopped": lambda: stopped("kube-apiserver"),
    "killed": killed,
    "store stopped": lambda: stopped("etcd"),
}


def flap(seconds: float, *, away_s: float = 5.0, there_s: float = 5.0) -> None:
    """Stop the API server for ``away_s`` and let it run for ``there_s``, over and over, for ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with stopped("kube-apiserver"):
            time.sleep(away_s)
        time.sleep(there_s)


def _pid(name: str) -> int:
    found = daemons.known(STATE, name)
    if found is None:
        raise ProblemError(f"{name} does not run", "Start the cluster: make up")
    return found.pid


def _ready() -> None:
    eventually(lambda: control_plane.ready(STATE), within=60, what="the API server is ready")
