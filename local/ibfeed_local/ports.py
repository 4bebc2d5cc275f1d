"""Listening sockets and their processes, from /proc/net/tcp and tcp6."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

LISTENING = "0A"


@dataclass(frozen=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int

    def clashes(self, address: str, port: int) -> bool:
        """Whether it keeps other programs from listening at this address and port."""
        return self.port == port and (self.address in (address, "0.0.0.0", "::"))

    def holder(self) -> str:
        """Return a description of its process, for a message."""
        wanted = f"socket:[{self.inode}]"
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                if any(str(link.readlink()) == wanted for link in (process / "fd").iterdir()):
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    return f"process {process.name} ({' '.join(command.split())[:80]})"
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return "an unknown process"


def listeners() -> list[Listener]:
    """Return every listening TCP socket of this network namespace."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING:
                address, _, port = columns[1].partition(":")
                found.append(Listener(_address(address), int(port, 16), int(columns[9])))
    return found


def _address(text: str) -> str:
    """Read an address as the kernel prints it: hexadecimal words of 32 bits, each in the machine's byte order."""
    words = [bytes.fromhex(text[i : i + 8])[::-1] for i in range(0, len(text), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
