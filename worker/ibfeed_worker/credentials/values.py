"""A paper account's user name and password, and the error for when they could not be had."""

from __future__ import annotations

import codecs
import string
from typing import Final, NoReturn, Protocol

from ibfeed_api.reasons import Reason

_INVISIBLE: Final = string.whitespace + "\ufeff\u00a0\u200b\u2028\u2029"


class Credentials:
    """User name and password of one paper account, in memory only.

    Deliberately not a dataclass or msgspec type: repr, pickle, ``vars``, ``asdict`` and every encoder must fail or hide
    the values. So they reach a log, a status or a file only where code spells ``.password``.
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

    Args:
        reason: CREDENTIALS_MISSING, VAULT_UNREACHABLE or VAULT_DENIED.
        message: says what to do, and never holds a secret, a token or the body of an answer.
        retryable: it may pass by itself, so ask again with back-off. Otherwise the vault, the Secret or the spec must
            be changed first, and asking often is pointless.
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
    """A source of credentials. Nothing is kept: every login reads again, so that a changed password counts."""

    async def read(self, index: int) -> Credentials:
        """Return the credentials of account ``index``. Raises CredentialsError, within a minute at most."""
        ...


class NotTextError(Exception):
    """Bytes of a Secret that are no text. The error's own text says nothing of them."""


def text_of(value: bytes) -> str:
    """Return a Secret's value as text, without the byte order mark that an editor or PowerShell left.

    Raises NotTextError.
    """
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
    """Return ``text`` without the characters that ``echo``, an editor or the clipboard left around it.

    IB takes no such character in a user name or a password.
    """
    return text.strip(_INVISIBLE)
