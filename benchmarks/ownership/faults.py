"""What goes wrong with a worker: killed, stopped, cut off. What can be undone is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from ibfeed_api.worker_pod import WORKER_PORT
from ibfeed_local import containers, layout
from ibfeed_local.command import output
from ownership.setting import NAMESPACE
from support.cluster import main_process, read

# In the pod's own network namespace the API server still has its Service's address; Kafka is on the same node.
_API: Final = (
    ("OUTPUT", "-d", layout.API_SERVICE, "-j", "DROP"),
    ("OUTPUT", "-d", layout.NODE_ADDRESS, "-p", "tcp", "--dport", str(layout.API_PORT), "-j", "DROP"),
)
# What members of a failsafe ask each other; the kubelet's probes come from the node, and pass.
_MEMBERS: Final = (
    ("OUTPUT", "-d", layout.POD_RANGE, "-p", "tcp", "--dport", str(WORKER_PORT), "-j", "DROP"),
    ("INPUT", "-s", layout.NODE_ADDRESS, "-j", "ACCEPT"),
    ("INPUT", "-s", layout.POD_RANGE, "-p", "tcp", "--dport", str(WORKER_PORT), "-j", "DROP"),
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
    return _dropped(pod, _API)


def cut_off(pod: str) -> AbstractContextManager[None]:
    """The pod reaches neither API server nor members; Kafka and the venue it reaches as ever."""
    return _dropped(pod, (*_API, *_MEMBERS))


@contextmanager
def _dropped(pod: str, rules: Sequence[Sequence[str]]) -> Iterator[None]:
    inside = ["nsenter", f"--net=/proc/{main_process(NAMESPACE, pod)}/ns/net", "iptables", "-w"]
    try:
        for rule in rules:
            subprocess.run([*inside, "-A", *rule], check=True, capture_output=True, timeout=10)
        yield
    finally:
        # A container that has ended meanwhile took its pod's namespace with it, or left it to the next.
        for rule in rules:
            subprocess.run([*inside, "-D", *rule], check=False, capture_output=True, timeout=10)


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
