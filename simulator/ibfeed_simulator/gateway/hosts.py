"""Names of hosts: the machine's, or those of a file as the JVM takes it.

The real gateway is a JVM. With ``JAVA_TOOL_OPTIONS=-Djdk.net.hosts.file=FILE`` it knows the names of that file and no
others. It takes no proxy from its environment, and none from ``https.proxyHost`` (tried). Neither does this one.
"""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

OPTIONS: Final = "JAVA_TOOL_OPTIONS"
_HOSTS: Final = "-Djdk.net.hosts.file="


def hosts_file() -> Path | None:
    """Return the file that the JVM's options name, if they name one."""
    for option in shlex.split(os.environ.get(OPTIONS, "")):
        if option.startswith(_HOSTS):
            return Path(option.removeprefix(_HOSTS))
    return None


def read_hosts(text: str) -> dict[str, str]:
    """Return name -> address from lines as in ``/etc/hosts``."""
    names: dict[str, str] = {}
    for line in text.splitlines():
        address, *found = line.partition("#")[0].split() or [""]
        names |= dict.fromkeys(found, address)
    return names


class Resolver(AbstractResolver):
    """Finds the address of a name: in the file if there is one, else by the machine's own names."""

    def __init__(self) -> None:
        file = hosts_file()
        self._names = read_hosts(file.read_text(encoding="utf-8")) if file is not None else None
        self._machine = DefaultResolver()

    def address(self, host: str) -> str:
        """Return the address for a name. Raises OSError if the name is not known."""
        if self._names is None:
            return host
        if host not in self._names:
            raise socket.gaierror(socket.EAI_NONAME, f"UnknownHostException {host}")
        return self._names[host]

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self._names is None:
            return await self._machine.resolve(host, port, family)
        return [
            ResolveResult(
                hostname=host,
                host=self.address(host),
                port=port,
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        await self._machine.close()
