"""A queue in a Redis stream. It needs Redis 7 and the extra ``redis``."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ibfeed.codec import decode, encode
from ibfeed.errors import MissingExtraError, RecordError, RedisRefusedError, RedisUnreachableError
from ibfeed.events import Event, Gap

if TYPE_CHECKING:
    from redis.asyncio import Redis

    Entry = tuple[bytes, Mapping[bytes, bytes]]

Result = TypeVar("Result")
_EVENT: Final = b"event"  # the fields of an entry
_CLOSED: Final = b"closed"
_CONSUMER: Final = "ibfeed"  # one of a group runs at a time, so all have one name, and the next one finds what is open
_BATCH: Final = 500  # entries
_BLOCK_MS: Final = 1000
_DONE_S: Final = 0.1  # how often Redis is told what is done with
_SOCKET_S: Final = 5.0
AWAY_S: Final = 30.0  # until a Redis that does not answer is given up
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 3.0
_ROOM_PAUSE_S: Final = 0.5  # the longest between looks whether there is room again


class RedisQueue:
    """A queue in a Redis stream. It is created if it is not there.

    Each group gets all events, from the first one that it is not done with. One consumer of a group runs at a time.
    After a crash of the consumer the events of the last 0.1 s come again. While Redis is away an event may be added
    twice. A crash of Redis loses what it had not written to its disk: see its ``appendfsync``. A publisher removes the
    entries that all groups are done with.

    Args:
        url: such as ``rediss://user:password@redis:6379/0``. It is never shown.
        stream: the stream's key.
        group: the name under which Redis keeps what is done with.
        room: ``publish`` waits while any group of the stream is not done with so many events. A group that is no longer
            used has to be removed: ``XGROUP DESTROY``.
    """

    def __init__(self, url: str, stream: str, group: str, room: int) -> None:
        """Create the queue; it connects later. Raises MissingExtraError, or RedisRefusedError for a wrong URL."""
        self._stream: Final = stream
        self._group: Final = group
        self._room: Final = room
        self._redis: Final = _client(url)
        self._errors: Final = importlib.import_module("redis.exceptions")
        self._created = False
        self._budget = 0  # events that may be sent before the next look
        self._reached = "0"  # the last entry that was read
        self._after = "0"  # read what this group was given before, after this entry; ">": read new ones
        self._fetched: Final[deque[Entry]] = deque()
        self._handed_out: bytes | None = None
        self._done: Final[list[bytes]] = []
        self._told_at = 0.0
        self._closed = False

    async def publish(self, event: Event) -> None:
        """Add an event, and wait while the queue is full. Raises RedisUnreachableError or RedisRefusedError."""
        pause = _FIRST_PAUSE_S
        await self._create()
        while self._budget <= 0:
            self._budget = self._room - await self._ask(self._not_done)
            if self._budget <= 0:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _ROOM_PAUSE_S)
        self._budget -= 1
        await self._ask(lambda: self._redis.xadd(self._stream, {_EVENT: encode(event)}))

    async def close(self) -> None:
        """Say that no more events come. Raises RedisUnreachableError or RedisRefusedError."""
        await self._create()
        await self._ask(lambda: self._redis.xadd(self._stream, {_CLOSED: b"1"}))

    async def consume(self) -> Event | None:
        """Wait for the next event and return it; None: the queue is closed, and no more come.

        Raises:
            RedisUnreachableError: Redis does not answer for 30 s.
            RedisRefusedError: Redis refuses.
            RecordError: an entry of the stream is no event.
        """
        if self._closed:
            return None
        await self._create()
        await self._note_done()
        while not self._fetched:
            await self._read()
        entry, fields = self._fetched.popleft()
        self._handed_out = entry
        if _EVENT in fields:
            return decode(fields[_EVENT])
        if not fields:
            return self._gap(entry)
        if _CLOSED not in fields:
            raise RecordError(
                f"entry {entry.decode()} of the stream {self._stream} is no event of ibfeed: name a stream of its own"
            )
        self._closed = True
        await self._note_done(now=True)
        return None

    async def release(self) -> None:
        """Note what is done with, and give back connections."""
        try:
            self._handed_out = None
            if self._done:
                await self._note_done(now=True)
        finally:
            await self._redis.aclose()

    async def _create(self) -> None:
        if not self._created:
            await self._ask(self._create_group)
            self._created = True

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except self._errors.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # it is there
                raise

    async def _not_done(self) -> int:
        """Return how many events the slowest group is not done with, and remove those that all are done with."""
        slowest = 0
        places = []
        for group in await self._redis.xinfo_groups(self._stream):
            pending, lag = group["pending"], group["lag"]
            slowest = max(slowest, pending + (await self._redis.xlen(self._stream) if lag is None else lag))
            first = group["last-delivered-id"]
            if pending:
                first = (await self._redis.xpending(self._stream, group["name"]))["min"] or first
            places.append(_place(first))
        oldest = min(places, default=(0, 0))
        await self._redis.xtrim(self._stream, minid=f"{oldest[0]}-{oldest[1]}", approximate=False)
        return slowest

    async def _read(self) -> None:
        entries = list(_entries(await self._ask(self._ask_for_entries)))
        if entries:
            self._reached = entries[-1][0].decode()
        if self._after != ">":
            self._after = self._reached if entries else ">"
        self._fetched.extend(entries)

    async def _ask_for_entries(self) -> Any:
        # If the answer gets lost, or our task is cancelled, Redis counts its entries as given to us. The next look is
        # for those.
        after, self._after = self._after, self._reached
        answer = await self._redis.xreadgroup(
            self._group, _CONSUMER, {self._stream: after}, count=_BATCH, block=_BLOCK_MS
        )
        self._after = after
        return answer

    async def _note_done(self, *, now: bool = False) -> None:
        """Note that the event before is done with, and tell Redis, in passing at most every 0.1 s."""
        if self._handed_out is not None:
            self._done.append(self._handed_out)
            self._handed_out = None
        if self._done and (now or not self._fetched or time.monotonic() - self._told_at > _DONE_S):
            await self._ask(lambda: self._redis.xack(self._stream, self._group, *self._done))
            self._done.clear()
            self._told_at = time.monotonic()

    def _gap(self, entry: bytes) -> Gap:
        reason = f"entry {entry.decode()} of the stream {self._stream} was removed before it was read"
        return Gap(conid=None, symbol=None, from_ms=None, to_ms=None, reason=reason, at_ms=int(time.time() * 1000))

    async def _ask(self, command: Callable[[], Awaitable[Result]]) -> Result:
        """Return the answer to a command, which is sent again while Redis is away. A command may so be done twice.

        Raises RedisUnreachableError or RedisRefusedError.
        """
        deadline, pause = time.monotonic() + AWAY_S, _FIRST_PAUSE_S
        where = f"the queue {self._stream} in Redis"
        while True:
            try:
                return await command()
            except (self._errors.AuthenticationError, self._errors.ResponseError) as error:
                raise RedisRefusedError(
                    f"{where} is refused: {error}; check user and password of its URL, the rights of the user to this"
                    " key, and that the key is a stream of Redis 7"
                ) from None
            except (self._errors.ConnectionError, self._errors.TimeoutError, OSError) as error:
                if time.monotonic() > deadline:
                    raise RedisUnreachableError(
                        f"{where} did not answer ({error}): check its address, and that this machine reaches it"
                    ) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _client(url: str) -> Redis:
    try:
        library = importlib.import_module("redis.asyncio")
        retry = importlib.import_module("redis.asyncio.retry").Retry
        backoff = importlib.import_module("redis.backoff").NoBackoff
    except ImportError:
        raise MissingExtraError("redis is not installed: pip install 'ibfeed[redis]'") from None
    try:
        client: Redis = library.from_url(
            url,
            retry=retry(backoff(), 0),  # ``_ask`` does that, since the library tries a wrong password again, too
            socket_timeout=_SOCKET_S,
            socket_connect_timeout=_SOCKET_S,
        )
    except ValueError:  # its text may hold the URL, and so a password
        raise RedisRefusedError(
            "the URL of Redis is refused: it has to be like redis://user:password@host:6379/0"
        ) from None
    return client


def _entries(answer: Any) -> Iterator[Entry]:
    """Return the entries of an answer to XREADGROUP, which is a list in RESP2 and a mapping in RESP3."""
    streams = answer.values() if isinstance(answer, dict) else [entries for _, entries in answer or ()]
    for entries in streams:
        # RESP3 has one more list around the entries.
        for entry, fields in entries[0] if isinstance(answer, dict) else entries:
            yield entry, fields or {}


def _place(entry: bytes) -> tuple[int, int]:
    ms, _, count = entry.decode().partition("-")
    return int(ms), int(count)
