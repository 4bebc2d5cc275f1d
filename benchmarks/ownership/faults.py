"""What goes wrong with a worker: killed, stopped, cut off. What can be undone is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from ibfeed_api.worker_pod import WORKER_PORT
from ibfeed_local import containers, layout
from ibfeed_local.command import output
from ownership.setting import NAMESPACE
from support.cluster import read
from support.network_faults import API_SERVER, dropped

# What members of a failsafe ask each other; the kubelet's probes come from the node, and pass.
_MEMBERS: Final = (
    ("OUTPUT", "-d", layout.POD_RANGE, "-p", "tcp", "--dport", str(WORKER_PORT)),
    ("INPUT", "-s", layout.NODE_ADDRESS, "-j", "ACCEPT"),
    ("INPUT", "-s", layout.POD_RANGE, "-p", "tcp", "--dport", str(WORKER_PORT)),
)


def kill(pid: int) -> None:
    """`kill -9`; the kernel ends the rest of the container with its first process."""
    os.kill(pid, signal.SIGKILL)


@contextmanager
def stopped(pod: str) -> Iterator[None]:
    """SIGSTOP for all processes of the container, and SIGCONT at the end."""
    halted: set[int] = set()
    try:
        while new := _processes(pod) - halted:  # until none has been born meanwhile
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            halted |= new
        yield
    finally:
        for pid in halted:
            _signal(pid, signal.SIGCONT)


def cut_off_alone(pod: str) -> AbstractContextManager[None]:
    """No packet of the pod reaches the API server; members of its failsafe, Kafka and the venue it reaches as ever."""
    return dropped(pod, *API_SERVER, namespace=NAMESPACE)


def cut_off(pod: str) -> AbstractContextManager[None]:
    """The pod reaches neither API server nor members; Kafka and the venue it reaches as ever."""
    return dropped(pod, *API_SERVER, *_MEMBERS, namespace=NAMESPACE)


def _container(pod: str) -> str:
    statuses = read("pod", pod, NAMESPACE)["status"]["containerStatuses"]
    identity: str = next(status for status in statuses if status["name"] == "worker")["containerID"]
    return identity.removeprefix("containerd://")


def _processes(pod: str) -> set[int]:
    lines = output([*containers.CTR, "tasks", "ps", _container(pod)]).splitlines()[1:]
    return {int(line.split()[0]) for line in lines}


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended meanwhile
        os.kill(pid, number)
