"""A paper account's user name and password, and why they could not be had."""

from __future__ import annotations

import codecs
import string
from typing import Final, NoReturn, Protocol

from ibfeed_api.reasons import Reason

_INVISIBLE: Final = string.whitespace + "\ufeff\u00a0\u200b\u2028\u2029"


class Credentials:
    """User name and password of one paper account, in memory only.

    Not a dataclass or msgspec type on purpose: repr, pickle, ``vars``, ``asdict`` and every encoder must fail or hide
    the values, so that they reach a log, a status or a file only where somebody spells ``.password``.
    """

    __slots__ = ("_password", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username: Final = username
        self._password: Final = password

    @property
    def username(self) -> str:
        return self._username

    @property
    def password(self) -> str:
        return self._password

    def __repr__(self) -> str:
        return "Credentials(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials stay in this process")


class CredentialsError(Exception):
    """The credentials of an account could not be had.

    ``reason`` is CREDENTIALS_MISSING, VAULT_UNREACHABLE or VAULT_DENIED. The message says what to do and never holds
    a secret, a token or the body of an answer. ``retryable``: it may pass by itself, so ask again with back-off;
    otherwise somebody must change the vault, the Secret or the spec first, and asking often is pointless.
    """

    def __init__(self, reason: Reason, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message
        self.retryable: Final = retryable

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.reason, self.message, self.retryable)


def _restore(reason: Reason, message: str, retryable: bool) -> CredentialsError:
    return CredentialsError(reason, message, retryable=retryable)


class CredentialSource(Protocol):
    """Where credentials come from. Nothing is kept: every login reads anew, so that a changed password counts."""

    async def read(self, index: int) -> Credentials:
        """Return the credentials of account ``index``. Raises CredentialsError, within a minute at most."""
        ...


class NotTextError(Exception):
    """Bytes of a Secret that are no text. The text of this says nothing of them."""


def text_of(value: bytes) -> str:
    """The text of a Secret's value, without the byte order mark that an editor or PowerShell left. Raises NotText."""
    encoding = "utf-8-sig"
    if value.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = value.decode(encoding)
    except UnicodeDecodeError:
        raise NotTextError from None
    if "\0" in text or (value and not text):
        raise NotTextError
    return text


def tidy(text: str) -> str:
    """Without what ``echo``, an editor or the clipboard left around it; IB takes no such character in either."""
    return text.strip(_INVISIBLE)
