"""The venue's users, read from a JSON file: ``{"users": [{"username", "password", "account", "paper"}]}``."""

from __future__ import annotations

import hmac
import zlib
from pathlib import Path

import msgspec


class User(msgspec.Struct, frozen=True):
    username: str
    password: str
    account: str = ""
    paper: bool = True

    def __repr__(self) -> str:
        return f"User({self.username!r})"

    @property
    def account_id(self) -> str:
        """The account's id. At IB paper accounts begin with DU, live ones with U."""
        return (
            self.account or f"{'DU' if self.paper else 'U'}{1_000_000 + zlib.crc32(self.username.encode()) % 9_000_000}"
        )

    @property
    def user_id(self) -> int:
        return 100_000_000 + zlib.crc32(self.username.encode()) % 100_000_000

    def accepts(self, password: str) -> bool:
        return hmac.compare_digest(self.password.encode(), password.encode())


class UserFile(msgspec.Struct, frozen=True):
    users: list[User]


def load(path: Path) -> dict[str, User]:
    """Read the file. Raises OSError, or msgspec.DecodeError, whose text never holds a value."""
    users = msgspec.json.decode(path.read_bytes(), type=UserFile).users
    return {user.username: user for user in users}
