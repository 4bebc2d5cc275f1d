"""The users of Redis: one that writes, and those that read. Passwords are digests here, as Redis takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from ibfeed_platform.hot_store.keys import Keys

Role = Literal["writer", "reader", "team"]

_WRITE: Final = "+ping +info +evalsha +script|load +hmget +hset +del +pexpireat +pexpire +sadd +multi +exec"
# No SCAN and no KEYS: they would tell the names of other teams' keys.
_READ: Final = "+ping +hgetall +hget +hmget +smembers +exists +ttl +pttl +type"
# Nobody comes in without a name.
_NOBODY: Final = "user default off resetchannels -@all"


@dataclass(frozen=True, slots=True)
class User:
    """A user of Redis.

    Args:
        role: writer: a sink. reader: reads the feed's latest values. team: reads the rows of its own computations.
        name: of a team the same as in its computations.
        password_sha256: the digest of its password, in hexadecimal.
    """

    role: Role
    name: str
    password_sha256: str


def user_of(line: str) -> User:
    """Return the user of a line such as ``team power-desk PASSWORD``. Raises ValueError, which shows no password."""
    words = line.split()
    if len(words) != 3 or words[0] not in ("writer", "reader", "team"):
        raise ValueError("a line must be: writer, reader or team; a name; a password without blanks")
    role: Role = words[0]  # type: ignore[assignment]
    return User(role, words[1], hashlib.sha256(words[2].encode()).hexdigest())


def acl_lines(users: Iterable[User], keys: Keys) -> list[str]:
    """Return the lines of Redis's ACL file."""
    return [_NOBODY, *(_line(user, keys) for user in users)]


def _line(user: User, keys: Keys) -> str:
    match user.role:
        case "writer":
            rights = f"~{keys.all} -@all {_WRITE}"
        case "reader":
            patterns = " ".join(f"%R~{pattern}" for pattern in (keys.tick("*"), keys.book("*"), keys.status("*")))
            rights = f"{patterns} -@all {_READ}"
        case "team":
            rights = f"%R~{keys.index(user.name, '*')} -@all {_READ}"
    return f"user {user.name} on #{user.password_sha256} resetchannels {rights}"
