"""The way to the live page: kubectl's port-forward, the token, the sign-in, and what each says when it fails."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from ibfeed.cluster import connect
from ibfeed.cluster.console import forward, redirect, renew, sign_in, user_token
from ibfeed.errors import ConsoleError

asked: list[tuple[str, str, Any]] = []


class Server(BaseHTTPRequestHandler):
    """An API server and a console in one."""

    def do_GET(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked.append((self.path, self.headers.get("Authorization", ""), body))
        if self.path.endswith("/token"):
            self._answer(201, {"status": {"token": "of-the-account"}})
        elif self.headers.get("Authorization") != "Bearer mine":
            self._answer(401, "the cluster does not know this token: get another one\n")
        else:
            self._answer(200, {"renewed": body["code"] == "c"} if body else {"code": "c"})

    def _answer(self, code: int, value: object) -> None:
        self.send_response(code)
        self.end_headers()
        self.wfile.write(value.encode() if isinstance(value, str) else json.dumps(value).encode())

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    users = {"token": {"token": "mine"}, "certificate": {}}
    config = {
        "current-context": "token",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [{"name": n, "context": {"cluster": "here", "user": n, "namespace": "desk"}} for n in users],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {folder}/words\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_forward_says_its_port_and_ends_with_its_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl(tmp_path, monkeypatch, 'echo "Forwarding from 127.0.0.1:4321 -> 8081"; exec sleep 60')
    with forward(context="token", namespace="ibfeed-system", deployment="ibfeed-console") as way:
        assert way.url == "http://localhost:4321"
        assert way.process.poll() is None
    assert way.process.poll() is not None
    words = (tmp_path / "words").read_text().split()
    assert words[:4] == ["--context", "token", "--namespace", "ibfeed-system"]
    assert words[4:] == ["port-forward", "deployment/ibfeed-console", ":8081", "--address", "127.0.0.1"]


def test_forward_that_is_refused_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl(tmp_path, monkeypatch, 'echo "error: deployments.apps \\"ibfeed-console\\" not found" >&2; exit 1')
    with (
        pytest.raises(ConsoleError, match='"ibfeed-console" not found; see `kubectl -n ibfeed-system get'),
        forward(namespace="ibfeed-system", deployment="ibfeed-console"),
    ):
        pass


def test_missing_kubectl_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConsoleError, match="kubectl is not installed"), forward(namespace="x", deployment="y"):
        pass


def test_user_signs_in_with_the_token_of_the_kubeconfig() -> None:
    assert user_token(connect()) == "mine"


def test_certificate_needs_a_service_account() -> None:
    with pytest.raises(ConsoleError, match="--service-account"):
        user_token(connect(context="certificate"))


def test_service_account_gives_a_token_for_an_hour() -> None:
    assert user_token(connect(), "trading/viewer") == "of-the-account"
    ((path, _, body),) = asked
    assert path == "/api/v1/namespaces/trading/serviceaccounts/viewer/token"
    assert body["spec"] == {"expirationSeconds": 3600}


def test_token_is_exchanged_for_a_code_and_renews_it(server: str) -> None:
    assert sign_in(server, "mine") == "c"
    assert renew(server, "mine", "c")
    assert not renew(server, "mine", "other")
    assert {authorization for _, authorization, _ in asked} == {"Bearer mine"}


def test_refusal_has_no_token_in_it(server: str) -> None:
    with pytest.raises(ConsoleError, match="does not know this token") as caught:
        sign_in(server, "s3cret")
    assert "s3cret" not in str(caught.value)


def test_browser_gets_a_file_that_others_cannot_read() -> None:
    with redirect("http://localhost:1/#code=c") as address:
        file = Path(unquote(urlsplit(address).path))
        assert "code=c" not in address
        assert "code=c" in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
    assert not file.exists()
