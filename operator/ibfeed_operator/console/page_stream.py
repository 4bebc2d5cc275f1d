"""The server-sent events of one page: everything at first, then what changes. It decides what a user may see of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ibfeed_operator.console.desk import Desk
from ibfeed_operator.console.view import ShownContract

_PULSE_S: Final = 2.0  # a page that hears nothing for some of these says so


class PageStream:
    """The events for one page whose user sees ``namespaces``."""

    def __init__(self, desk: Desk, user: str, namespaces: frozenset[str]) -> None:
        self._desk, self._user, self.namespaces = desk, user, namespaces
        self._sent: Final[dict[str, bytes]] = {}
        self._contracts: Final[dict[str, dict[int, ShownContract]]] = {}
        self._revision = -1
        self._seq = 0
        self._pulse = 0.0

    def beginning(self) -> bytes:
        """Return the events with which a page begins, or begins again."""
        self._sent.clear()
        self._contracts.clear()
        self._revision, self._seq = -1, 0
        hello = {"now": _now_ms(), "user": self._user, "namespaces": sorted(self.namespaces)}
        sparklines = {
            key: self._desk.board.sparklines(*self._desk.kafka_of(key), self._conids(key)) for key in self._visible()
        }
        quotes = {key: self._desk.board.rows(*self._desk.kafka_of(key), self._conids(key)) for key in self._visible()}
        return b"".join(
            (
                _event("hello", hello),
                *self._state(),
                _event("sparklines", sparklines),
                self._quotes(quotes),
            )
        )

    def changes(self) -> bytes:
        """Return the events of what has changed since the last call; empty: nothing."""
        board = self._desk.board
        found = {key: board.changed(*self._desk.kafka_of(key), self._conids(key)) for key in self._visible()}
        quotes = {key: rows for key, rows in found.items() if rows}
        parts = list(self._state())
        if quotes or time.monotonic() - self._pulse >= _PULSE_S:
            parts.append(self._quotes(quotes))
        return b"".join(parts)

    def _quotes(self, quotes: dict[str, Any]) -> bytes:
        self._pulse = time.monotonic()
        return _event("quotes", {"now": _now_ms(), "kafka": self._desk.board.newest_ms, "feeds": quotes})

    def _state(self) -> Iterator[bytes]:
        desk = self._desk
        if desk.revision != self._revision:
            self._revision = desk.revision
            yield self._if_new("feeds", [feed for feed in desk.feeds if feed.namespace in self.namespaces])
            for key in self._visible():
                yield self._changed_contracts(key)
            yield self._if_new("sinks", [sink for sink in desk.sinks if sink.namespace in self.namespaces])
        servers = {desk.kafka_of(key)[0] for key in self._visible()}
        yield self._if_new("kafka", {one: text for one, text in desk.troubles.items() if text and one in servers})
        if desk.history.seq > self._seq:
            visible = frozenset(self._visible())
            found = desk.history.since(self._seq, _now_ms(), lambda feed: feed in visible)
            self._seq = desk.history.seq
            if found:
                yield _event("history", found)

    def _changed_contracts(self, key: str) -> bytes:
        now = {contract.conid: contract for contract in self._desk.contracts.get(key, ())}
        before = self._contracts.get(key, {})
        rows = [contract for conid, contract in now.items() if before.get(conid) != contract]
        gone = [conid for conid in before if conid not in now]
        self._contracts[key] = now
        return _event("contracts", {"feed": key, "rows": rows, "gone": gone}) if rows or gone else b""

    def _if_new(self, kind: str, value: object) -> bytes:
        event = _event(kind, value)
        if self._sent.get(kind) == event:
            return b""
        self._sent[kind] = event
        return event

    def _visible(self) -> list[str]:
        return [feed.key for feed in self._desk.feeds if feed.namespace in self.namespaces]

    def _conids(self, key: str) -> list[int]:
        return [contract.conid for contract in self._desk.contracts.get(key, ())]


def _event(kind: str, value: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
