"""The proxy that the environment names for a connection, as other programs read ``HTTPS_PROXY`` and ``NO_PROXY``.

It serves IB and a key vault. The gateway on this pod's loopback interface and the API server are never reached through
a proxy: their clients are told to ignore the environment. The browser does not see the variables. Pure.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

_PORTS: Final = {"http": 3128, "https": 443}
# The metadata service gives a managed identity its token. It is on the node, where no proxy reaches it.
_NEVER: Final = ("localhost", "127.0.0.1", "::1", "169.254.169.254")


class ProxyError(Exception):
    """The environment names a proxy that can't be used. The text never holds its user name or password."""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy that opens tunnels (``CONNECT``).

    ``authorization`` is the value of the ``Proxy-Authorization`` header; empty for none.
    """

    host: str
    port: int
    tls: bool = False
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def proxy_for(host: str, port: int, environment: Mapping[str, str]) -> HttpProxy | None:
    """Return the proxy for a TLS connection to ``host``; None for a direct one. Raises ProxyError."""
    given = _either(environment, "https_proxy").strip()
    exceptions = (rule.strip().lower() for rule in _either(environment, "no_proxy").split(","))
    if not given or any(_fits(rule, host.lower(), port) for rule in exceptions):
        return None
    parts = urlsplit(given if "://" in given else f"http://{given}")
    if parts.scheme not in _PORTS:
        raise ProxyError(
            f"HTTPS_PROXY names a {parts.scheme} proxy: give an http one, such as http://proxy.example.com:3128"
        )
    try:
        found, number = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        found, number = None, 0
    if not found:
        raise ProxyError("HTTPS_PROXY is no address of a proxy: give one such as http://proxy.example.com:3128")
    return HttpProxy(found, number, parts.scheme == "https", _authorization(parts.username, parts.password))


def for_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child process that reads these variables itself.

    Its ``NO_PROXY`` also names the hosts that no proxy may be used for.
    """
    exceptions = [name.strip() for name in _either(environment, "no_proxy").split(",") if name.strip()]
    joined = ",".join(dict.fromkeys([*exceptions, *_NEVER]))
    return {**environment, "NO_PROXY": joined, "no_proxy": joined}


def _fits(rule: str, host: str, port: int) -> bool:
    """Whether a rule of NO_PROXY covers this host: a name with all below it, an address, a network, or ``*``."""
    if rule.count(":") == 1:
        rule, _, number = rule.partition(":")
        if number != str(port):
            return False
    name = rule.removeprefix("*").removeprefix(".")
    if rule == "*" or (name and (host == name or host.endswith(f".{name}"))):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        return False


def _either(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _authorization(username: str | None, password: str | None) -> str:
    if username is None:
        return ""
    pair = f"{unquote(username)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
