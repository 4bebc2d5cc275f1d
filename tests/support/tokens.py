"""An OpenID provider for tests. It gives tokens to clients that know their secret, and publishes its keys."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

AUDIENCE = "kafka"


class Provider:
    """The provider. ``clients`` maps id to secret; tokens last ``life_s``. ``token``, over TLS, has ``certificate``."""

    def __init__(self, folder: Path, certificate: tuple[bytes, bytes], life_s: int = 300) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.clients: dict[str, str] = {}
        self.life_s = life_s
        self.asked: list[dict[str, list[str]]] = []
        self.refused = 0
        (folder / "provider.pem").write_bytes(certificate[0] + certificate[1])
        self._plain = self._server()
        self._secure = self._server()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "provider.pem")
        self._secure.socket = context.wrap_socket(self._secure.socket, server_side=True)
        self.keys = f"http://127.0.0.1:{self._plain.server_port}/keys"
        self.token = f"https://127.0.0.1:{self._secure.server_port}/token"

    def __enter__(self) -> Self:
        for server in (self._plain, self._secure):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._plain, self._secure):
            server.shutdown()
            server.server_close()

    def _server(self) -> ThreadingHTTPServer:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _answer(self, 200, {"keys": [provider.public]})

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                _answer(self, *provider.give(self.headers.get("Authorization", ""), form))

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        return server

    @property
    def public(self) -> dict[str, Any]:
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {**key, "kid": "test", "use": "sig", "alg": "RS256"}

    def give(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        self.asked.append(form)
        client, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if form.get("grant_type") != ["client_credentials"] or self.clients.get(client) != secret:
            self.refused += 1
            return 401, {"error": "invalid_client"}
        now = int(time.time())
        claims = {"sub": client, "aud": AUDIENCE, "iss": "test", "iat": now, "exp": now + self.life_s}
        token = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "test"})
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}


def _answer(request: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
    text = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)
