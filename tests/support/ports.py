"""Ports for the servers that a test starts, no two alike, however many test processes run side by side."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

_FIRST = 20_000  # below the range from which the kernel gives ports to outgoing connections
_EACH = 250  # for each test process
_BLOCKS = 48


def _claim() -> tuple[int, socket.socket]:
    """First port of a block that is this process's own for as long as it lives.

    The claim is an abstract name: like the ports it belongs to the network's namespace, and it goes with its process.
    """
    for block in range(_BLOCKS):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0ibfeed-test-ports-{block}")
        except OSError:
            claim.close()
            continue
        return _FIRST + block * _EACH, claim
    raise AssertionError(f"{_BLOCKS} test processes run already")


def _numbers() -> Iterator[int]:
    first, claim = _claim()
    offset = os.getpid() % _EACH  # the run before may have left connections behind that linger
    with claim:
        for count in itertools.count():
            yield first + (offset + count) % _EACH


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
