"""A number that one process writes and another one reads, without a system call for either."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path


class Shared:
    """``path`` is made if it is not there. 64 bits, 0 at first."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(8)
            self._memory = mmap.mmap(file.fileno(), 8)

    @property
    def value(self) -> int:
        (value,) = struct.unpack_from("q", self._memory)
        return int(value)

    @value.setter
    def value(self, value: int) -> None:
        struct.pack_into("q", self._memory, 0, value)
