"""Ports for the servers that a test starts, no two alike, however many test processes run side by side."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

_FIRST = 20_000  # below the range from which the kernel gives ports to outgoing connections
_EACH = 1_000  # for each test process


def _numbers() -> Iterator[int]:
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    offset = os.getpid() % _EACH  # the run before may have left connections behind that linger
    for count in itertools.count():
        yield _FIRST + process * _EACH + (offset + count) % _EACH


_NUMBERS = _numbers()


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given."""
    for number in itertools.islice(_NUMBERS, _EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", number))
            except OSError:
                continue
            return number
    raise AssertionError("no port is free")
