"""A gateway distribution as a process with its own configuration: the stand-in, or IB's."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import websocket
import yaml

from ibfeed_worker.gateway import distribution as distributions
from support.cluster import eventually
from support.ports import free_port
from support.simulator import Venue

SUCCESS = "Client login succeeds"
# The gateway itself makes up to eight calls at once, and IB accepts ten a second.
SELDOM_S = 1.0
# In a mount namespace a file takes the place of the machine's names.
_NAMES = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')


def configured(distribution: Path, folder: Path, port: int, upstream: str, **changes: object) -> Path:
    """Copy a distribution to ``folder``, with these settings in its conf.yaml."""
    folder.mkdir()
    for part in distribution.iterdir():
        if part.name != "root":
            (folder / part.name).symlink_to(part)
    root = folder / "root"
    root.mkdir()
    for source in (distribution / "root").iterdir():
        if source.is_file():
            (root / source.name).write_bytes(source.read_bytes())
    settings = yaml.safe_load((root / "conf.yaml").read_text())
    settings |= {"listenPort": port, "proxyRemoteHost": upstream, **changes}
    (root / "conf.yaml").write_text(yaml.safe_dump(settings))
    return folder


def trusting(ca: Path, folder: Path) -> dict[str, str]:
    """Return the environment in which a gateway, the stand-in or IB's, trusts an upstream of this authority."""
    store, _ = distributions.trust(ca, folder)
    password = distributions.TRUST_STORE_PASSWORD
    options = {"trustStore": store, "trustStorePassword": password, "trustStoreType": "PKCS12"}
    java = " ".join(f"-Djavax.net.ssl.{name}={value}" for name, value in options.items())
    return {"GATEWAY_UPSTREAM_CA": str(ca), "JAVA_TOOL_OPTIONS": java}


def under_names(hosts: Path | None) -> tuple[str, ...]:
    """Return the words before a command that is to find names in ``hosts``. None are needed for the machine's own."""
    return (*_NAMES, str(hosts)) if hosts is not None else ()


class Gateway:
    """A running gateway for one user. ``ca`` is the upstream's authority, ``hosts`` the file of names."""

    def __init__(
        self,
        distribution: Path,
        folder: Path,
        upstream: str,
        ca: Path | None,
        *,
        hosts: Path | None = None,
        **changes: object,
    ) -> None:
        self.port = free_port()
        home = configured(distribution, folder / "gateway", self.port, upstream, **{"authDelay": 1200, **changes})
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self.process = subprocess.Popen(
            [*under_names(hosts), "bin/run.sh", "root/conf.yaml"],
            env=environment | (trusting(ca, folder) if ca is not None else {}),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.url = f"https://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, verify=False, trust_env=False, timeout=5)
        self.sockets: list[websocket.WebSocket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self.sockets:
            stream.shutdown()
        self.http.close()
        with suppress(ProcessLookupError):  # it may have ended before
            os.killpg(self.process.pid, signal.SIGTERM)  # IB's is a script that starts a JVM
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ready(self) -> Self:
        assert self.process.stdout is not None
        marker, said = f"Open https://localhost:{self.port} to login\n", [""]
        while said[-1] != marker:  # IB's prints other lines before it
            said.append(self.process.stdout.readline())
            assert said[-1], f"it has ended: {said}"
        eventually(self.listens, within=10, what="it listens, a moment after it has said so")
        return self

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def submit(self, username: str, password: str) -> httpx.Response:
        return self.http.post("/sso/Dispatcher", data={"username": username, "password": password})

    def log_in(self, venue: Venue, index: int = 1) -> Self:
        keys = venue.credentials
        answer = self.submit(keys[f"username-{index}"], keys[f"password-{index}"])
        assert answer.status_code == 200
        assert SUCCESS in answer.text
        opened = "the gateway opens the session by itself"
        eventually(lambda: self.status().get("authenticated"), within=8, what=opened, every=SELDOM_S)
        return self

    def status(self) -> dict[str, Any]:
        answer = self.http.post("/v1/api/iserver/auth/status", json={})
        found: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return found

    def stream(self) -> websocket.WebSocket:
        made = websocket.create_connection(
            f"wss://127.0.0.1:{self.port}/v1/api/ws",
            sslopt={"cert_reqs": ssl.CERT_NONE},
            skip_utf8_validation=True,
            timeout=5,
        )
        self.sockets.append(made)
        return made
