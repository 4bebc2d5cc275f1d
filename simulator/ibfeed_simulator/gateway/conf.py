"""``conf.yaml`` with the keys of the real gateway. An unknown key keeps it from starting."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

KNOWN_KEYS: Final = frozenset(
    {
        "authDelay",
        "ccp",
        "cors",
        "ip2loc",
        "ips",
        "listenPort",
        "listenSsl",
        "portalBaseURL",
        "proxyRemoteHost",
        "proxyRemoteSsl",
        "serverOptions",
        "sslCert",
        "sslPwd",
        "svcEnvironment",
        "webApps",
    }
)


class ConfigurationError(Exception):
    """The file is missing, is no YAML, or has keys or values that the gateway does not understand."""


@dataclass(frozen=True)
class Addresses:
    """``ips``: patterns such as ``10.*``. Without ``allow`` every address that is not denied may call."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def admit(self, address: str) -> bool:
        if any(fnmatchcase(address, pattern) for pattern in self.deny):
            return False
        return not self.allow or any(fnmatchcase(address, pattern) for pattern in self.allow)


@dataclass(frozen=True)
class Configuration:
    remote: str = "https://api.ibkr.com"
    port: int = 5000
    tls: bool = True
    certificate: Path = Path("gateway.pem")
    location: str = "US"
    auth_delay: float = 3.0  # seconds between the login and the gateway's own ssodh/init
    addresses: Addresses = field(default_factory=Addresses)

    @property
    def api(self) -> str:
        """The prefix of upstream paths. The real gateway decides by whether the host's name contains "api"."""
        return "/v1/api" if "api" in (urlsplit(self.remote).hostname or "") else "/v1/portal"


def load(path: Path) -> Configuration:
    """Read the file. Raises ConfigurationError that says what is wrong."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} holds no mapping")
    unknown = sorted(str(key) for key in set(document) - KNOWN_KEYS)
    if unknown:
        raise ConfigurationError(f"Unrecognized field {unknown[0]!r} in {path}")
    defaults = Configuration()
    try:
        ips: dict[str, Any] = document.get("ips") or {}
        return Configuration(
            remote=str(document.get("proxyRemoteHost", defaults.remote)).rstrip("/"),
            port=int(document.get("listenPort", defaults.port)),
            tls=bool(document.get("listenSsl", defaults.tls)),
            certificate=path.parent / str(document.get("sslCert", defaults.certificate)),
            location=str(document.get("ip2loc", defaults.location)),
            auth_delay=float(document.get("authDelay", defaults.auth_delay * 1000)) / 1000,
            addresses=Addresses(
                tuple(str(pattern) for pattern in ips.get("allow") or ()),
                tuple(str(pattern) for pattern in ips.get("deny") or ()),
            ),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"bad value in {path}: {error}") from error
