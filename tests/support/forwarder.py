"""A TCP forwarder that can be cut. Then its target is away for its own clients, and for no others."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import yaml

from support.cluster import KUBECONFIG


class Forwarder:
    """A forwarder. ``cut()`` makes all connections hang, as a broken network does; ``mend()`` lets new ones pass.

    ``answers_in`` are the seconds that each piece of an answer takes.
    """

    def __init__(self, host: str, port: int) -> None:
        self._behind = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.answers_in = 0.0
        self._through = threading.Event()
        self._through.set()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for one in self._open:
            one.close()

    def cut(self) -> None:
        self._through.clear()

    def mend(self) -> None:
        self._through.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._behind)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(source, target, source is far), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._through.wait()
                if is_answer and self.answers_in:
                    time.sleep(self.answers_in)
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def api_server(folder: Path) -> Iterator[tuple[Forwarder, Path]]:
    """Run a forwarder to the API server. Yields it, and a kubeconfig in ``folder`` that uses it."""
    document = yaml.safe_load(KUBECONFIG.read_text())
    cluster = document["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    assert server.hostname
    with Forwarder(server.hostname, server.port or 443) as forwarder:
        cluster |= {"server": f"https://127.0.0.1:{forwarder.port}", "tls-server-name": server.hostname}
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)
        yield forwarder, path
