"""A listener at the venue that is no part of the product: it hears every update of every contract, whoever else does.

The venue moves a contract only while somebody has it subscribed. Without a witness, a time in which no worker listens
would be a time in which nothing happens, and nothing could be lost.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
import websocket

from ownership.setting import LINES

# What a worker asks for: an update that changes none of these is none.
_FIELDS: Final = ("31", "7059", "84", "88", "86", "85", "7762", "87", "7697", "6509")
_RENEW_S: Final = 240.0  # the venue drops a subscription after 600 s
_TICKLE_S: Final = 60.0
_TICKLE_AGAIN_S: Final = 5.0  # after an API server was away, Services have no endpoints for some seconds
_SESSION_S: Final = 240.0  # the venue keeps a session for 6 min without a tickle
_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str = field(repr=False)


class Witness:
    """One account with up to ``LINES`` contracts. ``address`` of the venue, ``authority``: PEM file."""

    def __init__(self, address: str, authority: Path, login: Login, conids: Sequence[int]) -> None:
        if len(conids) > LINES:
            raise ValueError(f"an account has {LINES} lines, not {len(conids)}")
        self.username = login.username
        self._login = login
        self._conids = tuple(conids)
        self._address = address
        self._tls = ssl.create_default_context(cafile=str(authority))
        self._http = httpx.Client(base_url=f"https://{address}", verify=self._tls, timeout=10, trust_env=False)
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=f"witness-{self.username}", daemon=True)

    def __enter__(self) -> Self:
        form = {"username": self._login.username, "password": self._login.password}
        answer = self._http.post("/sso/Dispatcher", data=form)
        if answer.status_code != 302:
            raise RuntimeError(f"the venue does not let {self.username} in: {answer.status_code}")
        body = {"publish": True, "compete": True}
        self._http.post("/v1/api/iserver/auth/ssodh/init", json=body).raise_for_status()
        self._socket = websocket.create_connection(
            f"wss://{self._address}/v1/api/ws",
            cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in self._http.cookies.jar),
            sslopt={"context": self._tls},
            timeout=_WAIT_S,
        )
        self._subscribe(self._conids)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)
        self._socket.close()
        self._http.close()

    def require(self) -> None:
        """Raise if this witness has missed anything: what was compared with it proves nothing then."""
        if self._failure is not None:
            raise RuntimeError(f"witness {self.username} was cut off") from self._failure

    def _subscribe(self, conids: Iterable[int]) -> None:
        arguments = json.dumps({"fields": _FIELDS})
        for conid in conids:
            self._socket.send(f"smd+{conid}+{arguments}")

    def _run(self) -> None:
        renew = tickle = tickled = time.monotonic()
        try:
            while not self._stop.is_set():
                now = time.monotonic()
                if now - tickle > _TICKLE_S:
                    tickle = now
                    try:
                        self._http.post("/v1/api/tickle").raise_for_status()
                        tickled = now
                    except httpx.ConnectError:
                        if now - tickled > _SESSION_S:
                            raise
                        tickle = now - _TICKLE_S + _TICKLE_AGAIN_S
                if now - renew > _RENEW_S:
                    renew = now
                    self._subscribe(self._conids)
                try:
                    self._socket.recv()  # the venue's own log says what was in it
                except websocket.WebSocketTimeoutException:
                    continue
        except (OSError, httpx.HTTPError, websocket.WebSocketException) as error:
            self._failure = error
