"""The writer of the hot store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.exceptions import NoScriptError

from ibfeed_platform.hot_store.scripts import BOOK, LATEST
from ibfeed_platform.hot_store.updates import BookChange, Update, newest

_ROUND: Final = 500  # updates that are sent before an answer is waited for


@dataclass(frozen=True, slots=True)
class HotStoreSettings:
    """How long the hot store keeps values.

    Args:
        expiry_s: a value is gone so long after its event, by IB's time.
        book_memory_s: how long Redis remembers a quiet book, to apply the next change to it.
    """

    expiry_s: float = 300.0
    book_memory_s: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of a write.

    Args:
        newer: they were written.
        older: Redis has the same or a newer one, or a newer one was among the updates.
    """

    newer: int
    older: int


class HotStore:
    """The writer of the latest values. The newest stays, in whatever order and however often values are written.

    Calls block. Several writers, of one process or of many, may write the same keys.
    """

    def __init__(self, client: redis.Redis, settings: HotStoreSettings) -> None:
        self._client: Final = client
        self._settings: Final = settings
        self._latest = ""
        self._book = ""

    def write(self, updates: Iterable[Update]) -> Written:
        """Write updates and wait until Redis has confirmed all of them.

        Raises ``redis.exceptions.RedisError``; then some may be written. Writing them again does no harm.
        """
        given = list(updates)
        kept = newest(given)
        newer = 0
        for start in range(0, len(kept), _ROUND):
            part = kept[start : start + _ROUND]
            try:
                newer += self._send(part)
            except NoScriptError:  # Redis has restarted, or this is the first time
                self._load_scripts()
                newer += self._send(part)
        return Written(newer, len(given) - newer)

    def replace_set(self, key: str, members: Iterable[str]) -> None:
        """Replace a set by another one in one step. It expires as values do, from now on.

        Raises ``redis.exceptions.RedisError``.
        """
        pipeline = self._client.pipeline(transaction=True)
        pipeline.delete(key)
        if present := list(members):
            pipeline.sadd(key, *present)
            pipeline.pexpire(key, int(self._settings.expiry_s * 1000))
        pipeline.execute()

    def instance(self) -> str:
        """Return what tells this process of Redis from all others. After a change, values may be gone.

        Raises ``redis.exceptions.RedisError``.
        """
        return str(self._client.info("server")["run_id"])

    def _load_scripts(self) -> None:
        self._latest = str(self._client.script_load(LATEST))
        self._book = str(self._client.script_load(BOOK))

    def _send(self, updates: Sequence[Update]) -> int:
        if not self._latest:
            self._load_scripts()
        pipeline = self._client.pipeline(transaction=False)
        for update in updates:
            script = self._book if isinstance(update, BookChange) else self._latest
            keys, arguments = self._call(update)
            pipeline.evalsha(script, len(keys), *keys, *arguments)
        return sum(pipeline.execute())

    def _call(self, update: Update) -> tuple[list[str], list[Any]]:
        """Return keys and arguments of an update's script."""
        expires = update.event_ms + int(self._settings.expiry_s * 1000)
        fields = [text for pair in update.fields.items() for text in pair]
        if not isinstance(update, BookChange):
            return [update.key], [update.epoch, update.seq, expires, *fields]
        forgotten = update.event_ms + int(self._settings.book_memory_s * 1000)
        arguments = [update.epoch, update.seq, expires, forgotten, update.kind, update.bids, update.asks, *fields]
        return [update.key, update.memory_key], arguments
