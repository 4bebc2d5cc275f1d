"""The way to the live page: a port-forward by kubectl, and a sign-in whose token never comes to the browser."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from ibfeed.cluster.connection import Cluster
from ibfeed.errors import ConsoleError

PORT: Final = 8081  # of the console in its pod
RENEW_S: Final = 600.0  # a session lasts three times as long
TOKEN_S: Final = 3600  # of a ServiceAccount's token
_START_S: Final = 30.0
_ANSWER_S: Final = 15.0
_FORWARDED: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")


@dataclass(frozen=True)
class ConsoleWay:
    """Where the console is, and as whom to sign in.

    Args:
        context: of the kubeconfig; empty: its current one.
        namespace: of the operator.
        deployment: of the console.
        service_account: ``namespace/name``, to sign in as another than the kubeconfig's user.
    """

    context: str = ""
    namespace: str = "ibfeed-system"
    deployment: str = "ibfeed-console"
    service_account: str = ""


@dataclass(frozen=True)
class Forward:
    """A port-forward that runs. ``process`` is kubectl's."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"


@contextlib.contextmanager
def forward(*, context: str = "", namespace: str, deployment: str, port: int = 0) -> Iterator[Forward]:
    """Forward a local port to the console. It ends with the context.

    Args:
        context: of the kubeconfig; empty: its current one.
        namespace: of the operator.
        deployment: of the console.
        port: the local one; 0: any.

    Raises:
        ConsoleError: there is no kubectl, no such Deployment, or no right to forward.
    """
    if shutil.which("kubectl") is None:
        raise ConsoleError("kubectl is not installed, and the port-forward needs it: install it, and run this again")
    words = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace, "port-forward"]
    words += [f"deployment/{deployment}", f"{port or ''}:{PORT}", "--address", "127.0.0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield Forward(_local_port(process, namespace), process)
        finally:
            process.terminate()


def _local_port(process: subprocess.Popen[str], namespace: str) -> int:
    said: list[str] = []
    timer = threading.Timer(_START_S, process.kill)
    timer.start()
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for line in process.stdout:
            if found := _FORWARDED.match(line):
                threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
                return int(found[1])
            said.append(line.strip())
    finally:
        timer.cancel()
    why = said[-1] if said else f"kubectl said nothing within {_START_S:.0f} s"
    raise ConsoleError(
        f"the console cannot be reached: {why}; see `kubectl -n {namespace} get deployment,pods`, and whether you may"
        " create pods/portforward there"
    )


def _drain(lines: IO[str]) -> None:
    """Read on, so that kubectl never waits for us."""
    with contextlib.suppress(ValueError):  # closed at the end
        for _ in lines:
            pass


def user_token(cluster: Cluster, service_account: str = "") -> str:
    """Return the token to sign in with: the user's own, or one of a ServiceAccount (``namespace/name``) if it is given.

    Raises:
        ConsoleError: the user has no token, as with a client certificate.
        ClusterRefusedError, MissingObjectError: the ServiceAccount's token is not given.
    """
    if service_account:
        namespace, _, name = service_account.rpartition("/")
        path = f"/api/v1/namespaces/{namespace or cluster.namespace}/serviceaccounts/{name}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        answer = cluster.call("POST", path, body={**request, "spec": {"expirationSeconds": TOKEN_S}})
        return str(answer["status"]["token"])
    if token := cluster.token():
        return token
    raise ConsoleError(
        "your kubeconfig signs in by a certificate, which a page cannot use: name a ServiceAccount that may view the"
        " feeds, such as --service-account default/viewer"
    )


def sign_in(url: str, token: str) -> str:
    """Return a one-time code for the browser. Raises ConsoleError."""
    return str(_post(f"{url}/api/session", token, {})["code"])


def renew(url: str, token: str, code: str) -> bool:
    """Prolong the session that began with ``code``; False: it has ended. Raises ConsoleError."""
    return bool(_post(f"{url}/api/session", token, {"code": code})["renewed"])


def ask_for_plan(cluster: Cluster, feed: str, spec: dict[str, Any], way: ConsoleWay) -> dict[str, Any]:
    """Return the operator's plan for an edited spec of a feed. Raises what ``forward`` and ``user_token`` raise."""
    token = user_token(cluster, way.service_account)
    with forward(context=way.context, namespace=way.namespace, deployment=way.deployment) as forwarded:
        body = {"namespace": cluster.namespace, "feed": feed, "spec": spec}
        return _post(f"{forwarded.url}/api/plan", token, body)


def _post(url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    import requests

    headers = {"Authorization": f"Bearer {token}"}
    try:
        # Not through a proxy, since a token is in it.
        with requests.Session() as http:
            http.trust_env = False
            answer = http.post(url, json=body, headers=headers, timeout=_ANSWER_S)
    except requests.RequestException as error:
        raise ConsoleError(f"the console does not answer ({type(error).__name__}): run this again") from None
    if not answer.ok:
        raise ConsoleError(f"the console refuses: {answer.text.strip()}")
    found: dict[str, Any] = answer.json()
    return found


@contextlib.contextmanager
def redirect(url: str) -> Iterator[str]:
    """Yield the address of a file that leads to ``url``, for a browser's command line, which other users can read."""
    with tempfile.TemporaryDirectory(prefix="ibfeed-") as folder:
        page = Path(folder) / "open.html"
        page.touch(mode=0o600)
        page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0;url={url}"><a href="{url}">ibfeed</a>')
        yield page.as_uri()
