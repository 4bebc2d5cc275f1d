"""A reset of TCP connections, after which no byte that was written to them can arrive any more.

The kernel goes on sending what a connection could not deliver, also after it was closed. So a record that we gave up
while the network was cut would reach Kafka minutes later, behind those of the contract's next publisher. Kafka's client
offers no way to reset a connection, so this is done to the file descriptors of our own process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Final

_UNSPECIFIED: Final = bytes(16)  # a sockaddr of family AF_UNSPEC: connect(2) to it dissolves the association
_DESCRIPTORS: Final = Path("/proc/self/fd")


def reset(ports: Collection[int]) -> int:
    """Reset this process's connections to these ports, at any host; return how many."""
    libc = ctypes.CDLL(None, use_errno=True)
    count = 0
    for number in _sockets():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as connection:
            # Another thread may have closed it meanwhile, and its number may belong to another file by now.
            if connection.type == socket.SOCK_STREAM and _port(connection) in ports:
                count += libc.connect(connection.fileno(), _UNSPECIFIED, len(_UNSPECIFIED)) == 0
    return count


def _sockets() -> list[int]:
    found = []
    for entry in _DESCRIPTORS.iterdir():
        with contextlib.suppress(OSError):
            if entry.readlink().name.startswith("socket:"):
                found.append(int(entry.name))
    return found


def _port(connection: socket.socket) -> int | None:
    """Return the port at the other end."""
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    port: int = connection.getpeername()[1]
    return port
