"""Packets that do not leave or reach a pod of the local cluster. What is dropped comes through again at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ibfeed_local import layout
from support.cluster import main_process

# In the pod's own network namespace the API server still has its Service's address.
API_SERVER: Final = (
    ("OUTPUT", "-d", layout.API_SERVICE),
    ("OUTPUT", "-d", layout.NODE_ADDRESS, "-p", "tcp", "--dport", str(layout.API_PORT)),
)


@contextmanager
def dropped(
    pod: str,
    *rules: Sequence[str],
    namespace: str = "default",
    container: str = "worker",
    verdict: str = "DROP",
) -> Iterator[None]:
    """Have iptables drop what matches the rules, in the pod's network namespace. One may end with its own verdict."""
    inside = ["nsenter", f"--net=/proc/{main_process(namespace, pod, container)}/ns/net", "iptables", "-w"]
    whole = [[*rule] if "-j" in rule else [*rule, "-j", verdict] for rule in rules]
    try:
        for rule in whole:
            subprocess.run([*inside, "-A", *rule], check=True, capture_output=True, timeout=10)
        yield
    finally:
        # A container that has ended meanwhile took its pod's namespace with it, or left it to the next.
        for rule in whole:
            subprocess.run([*inside, "-D", *rule], check=False, capture_output=True, timeout=10)
