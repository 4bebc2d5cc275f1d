"""A schema registry with the two calls that ibfeed makes, for tests that need no real one (``support.registry``)."""

from __future__ import annotations

import http.server
import threading
from types import TracebackType
from typing import Any, Self

import msgspec

from support.ports import free_port


class StubRegistry:
    """A registry in this process. ``status`` is what it answers instead, such as 503. ``asked`` has the paths."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.status = 0
        self.asked: list[str] = []
        self._schemas: list[str] = []
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Answer, if it does not do so already."""
        if self._server is not None:
            return
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Answer no more. It keeps what it knows."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.asked.append(path)
        if self.status:
            return self.status, {}
        if body:
            schema = msgspec.json.decode(body)["schema"]
            if schema not in self._schemas:
                self._schemas.append(schema)
            return 200, {"id": self._schemas.index(schema) + 1}
        number = int(path.rpartition("/")[2])
        return (200, {"schema": self._schemas[number - 1]}) if number <= len(self._schemas) else (404, {})

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, found = registry.answer(self.path, body)
                told = msgspec.json.encode(found)
                self.send_response(status)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            do_POST = do_GET  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
