"""Ports for the servers of tests. No two are alike, however many test processes run side by side."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

_FIRST = 20_000  # below the kernel's range for outgoing connections
_EACH = 250  # so many for each test process
_BLOCKS = 48


def _claim() -> tuple[int, socket.socket]:
    """Claim a block of ports for the life of this process; return its first port.

    The claim is an abstract socket name. Like ports it belongs to the network namespace, and it ends with the process.
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
    offset = os.getpid() % _EACH  # connections of an earlier run may linger
    with claim:
        for count in itertools.count():
            yield first + (offset + count) % _EACH


_NUMBERS = _numbers()


def free_port() -> int:
    """Return a port on which no process listens, and which no other test gets."""
    for number in itertools.islice(_NUMBERS, _EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", number))
            except OSError:
                continue
            return number
    raise AssertionError("no port is free")
