"""The connection of a sink to Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError
from redis.retry import Retry

from ibfeed_platform.sinks.progress import SinkError

_ANSWER_S: Final = 5.0


@dataclass(frozen=True)
class RedisSettings:
    """Where the hot store is.

    Args:
        url: such as ``redis://redis:6379/0``, or ``rediss://`` for TLS. It holds no password.
        user: of Redis; None: its default user.
        password: None: none.
        prefix: what all keys begin with.
        expiry_s: a value is gone so long after its event, by IB's time.
        ca_file: the certificates that vouch for Redis; None: those of the system.
    """

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = "ibfeed"
    expiry_s: float = 300.0
    ca_file: str | None = None

    def client(self) -> redis.Redis:
        """Return a client. It connects later. Raises SinkError if the URL is none."""
        tls: dict[str, Any] = {} if self.ca_file is None else {"ssl_ca_certs": self.ca_file}
        if urlsplit(self.url).password is not None:
            raise SinkError("the URL of Redis holds a password: give it apart, since a URL is shown")
        try:
            return redis.Redis.from_url(
                self.url,
                username=self.user,
                password=self.password,
                decode_responses=True,
                socket_timeout=_ANSWER_S,
                socket_connect_timeout=_ANSWER_S,
                retry=Retry(NoBackoff(), 0),  # a sink tells each failure, and tries again itself
                **tls,
            )
        except (ValueError, TypeError) as error:
            raise SinkError(f"the URL of Redis is refused: {error}; write it as redis://host:6379/0") from None


def told_or_refused(error: RedisError, settings: RedisSettings) -> str:
    """Return the text of a failure that passes. Raises SinkError if Redis refuses the user."""
    if isinstance(error, AuthenticationError):
        raise SinkError(f"Redis at {settings.url} refuses the user: correct user and password of the sink")
    if isinstance(error, (AuthorizationError, NoPermissionError)):
        raise SinkError(
            f"Redis at {settings.url} does not permit the sink's user to write: give it the rights that"
            " docs/hot-store.md names"
        )
    return (
        f"Redis at {settings.url} fails: {error}; it is tried again. If that stays so, check that it runs, its address"
        " and its memory"
    )
