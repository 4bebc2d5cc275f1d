"""The websocket's statements about the session. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeGuard

import msgspec

_LONGEST_ACCOUNT: Final = 32


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The session's state, merged from ``sts`` frames.

    All but the first frame name only changes. None: not said yet.
    """

    connected: bool | None = None
    authenticated: bool | None = None
    established: bool | None = None
    competing: bool | None = None
    message: str = ""

    @property
    def text(self) -> str:
        """The facts that were said, for a person."""
        said = {"connected": self.connected, "authenticated": self.authenticated, "competing": self.competing}
        words = [f"{name}: {str(value).lower()}" for name, value in said.items() if value is not None]
        return ", ".join([*words, self.message] if self.message else words)

    def merged(self, args: bytes) -> SessionFacts:
        """Return these facts with an ``sts`` frame's ``args`` over them. Unreadable ``args`` change nothing."""
        try:
            news = msgspec.json.decode(args)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self
        if not isinstance(news, dict):
            return self
        flags = ("connected", "authenticated", "established", "competing")
        said = {name: news[name] for name in flags if isinstance(news.get(name), bool)}
        text = news.get("message")
        return replace(self, **said, message=text if isinstance(text, str) else self.message)


def account_of(args: bytes) -> str | None:
    """Return the account that an ``act`` frame's ``args`` name; None if there is none.

    It is the selected one, else the first.
    """
    try:
        said = msgspec.json.decode(args)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    listed = said.get("accounts")
    candidates = [said.get("selectedAccount"), *(listed if isinstance(listed, list) else ())]
    return next((name for name in candidates if _names_an_account(name)), None)


def _names_an_account(name: object) -> TypeGuard[str]:
    """Whether it can stand in a command, whose parts are separated by ``+``."""
    return isinstance(name, str) and name.isascii() and name.isalnum() and len(name) <= _LONGEST_ACCOUNT
