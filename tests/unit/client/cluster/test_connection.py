"""A kubeconfig's context, the paths of objects, and errors that say what to do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ibfeed.cluster import connect
from ibfeed.errors import ClusterRefusedError, ClusterUnreachableError, MissingObjectError

STATUSES = {"gone": (404, 'ibfeeds.ibfeed.dev "gone" not found'), "secret": (403, "cannot get"), "who": (401, "no")}


class Server(BaseHTTPRequestHandler):
    """Answers with what it was asked, or with a refusal that the object's name asks for."""

    def do_GET(self) -> None:
        code, message = STATUSES.get(self.path.rpartition("/")[2], (200, self.path))
        body = json.dumps({"message": message, "items": [{"path": self.path}]}).encode()
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"type": self.headers["Content-Type"], "body": json.loads(body)}).encode())

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def kubeconfig(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts = [
        {"name": "desk", "context": {"cluster": "here", "user": "me", "namespace": "trading"}},
        {"name": "dead", "context": {"cluster": "nowhere", "user": "me"}},
    ]
    clusters = [
        {"name": "here", "cluster": {"server": server}},
        {"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}},
    ]
    config = {
        "current-context": "desk",
        "contexts": contexts,
        "clusters": clusters,
        "users": [{"name": "me", "user": {}}],
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(file))


def test_paths_are_those_of_the_api_server() -> None:
    cluster = connect()
    group = "/apis/ibfeed.dev/v1alpha1"
    assert cluster.get("ibfeeds", "energy")["message"] == f"{group}/namespaces/trading/ibfeeds/energy"
    assert cluster.get("nodes", "n", api="v1", namespace="")["message"] == "/api/v1/nodes/n"
    pods = cluster.items("pods", api="v1", labels="ibfeed.dev/feed=energy", namespace="other")
    assert pods == [{"path": "/api/v1/namespaces/other/pods?labelSelector=ibfeed.dev%2Ffeed%3Denergy"}]


def test_patch_is_a_merge_patch() -> None:
    answer = connect(namespace="other").patch("ibfeeds", "energy", {"spec": {"suspend": True}})
    assert answer == {"type": "application/merge-patch+json", "body": {"spec": {"suspend": True}}}


def test_refusals_are_told_apart() -> None:
    cluster = connect()
    with pytest.raises(MissingObjectError, match="not found"):
        cluster.get("ibfeeds", "gone")
    with pytest.raises(ClusterRefusedError, match="refuses: cannot get"):
        cluster.get("ibfeeds", "secret")
    with pytest.raises(ClusterRefusedError, match="log in to the cluster again"):
        cluster.get("ibfeeds", "who")


def test_server_that_is_away_is_named_with_what_to_check() -> None:
    with pytest.raises(ClusterUnreachableError, match=r"127\.0\.0\.1:9 gives no answer .*current-context"):
        connect(context="dead").get("ibfeeds", "energy")


def test_context_that_is_not_there_is_named() -> None:
    with pytest.raises(ClusterUnreachableError, match="no context desert"):
        connect(context="desert")


def test_missing_kubeconfig_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with pytest.raises(ClusterUnreachableError, match="set KUBECONFIG"):
        connect()
