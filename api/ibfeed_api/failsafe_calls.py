"""The calls between the members of a failsafe, and from a taker to them: ``POST /v1/failsafe``.

Question and answer are signed claims (``calls.py``). They bear no date: which worker may publish must not hang on the
clocks of two nodes. The answer repeats the question's nonce, so that an old answer is none. A member renews nothing for
a question that was asked before the last one of the same asker, by the asker's own clock. 401: the question's signature
is refused, or its signer is unknown here.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from ibfeed_api.calls import CallRefusedError, Signer, signer_named, unseal
from ibfeed_api.failsafe import Member

PATH: Final = "/v1/failsafe"
T = TypeVar("T")


class Kind(StrEnum):
    """A question. Its answer is a ``failsafe.Renewal`` or a ``failsafe.Word``."""

    RENEW = "renew"  # of a holder: renew my Lease
    VOUCH = "vouch"  # of a taker: have you said away to this holder?


class Question(msgspec.Struct, frozen=True, rename="camel"):
    """A question.

    ``asker``: name of the process that asks. ``namespace``, ``lease``: the Lease. ``resource_version``: as known.
    ``at``: nanoseconds of the asker's monotonic clock.
    """

    kind: Kind
    asker: str
    namespace: str
    lease: str
    holder: str
    resource_version: str = ""
    nonce: str = msgspec.field(default_factory=lambda: secrets.token_hex(8))
    at: int = msgspec.field(default_factory=time.monotonic_ns)


def ask(signer: Signer, member: Member, question: Question) -> str:
    """Return the body of a question to a member."""
    claims = {"iss": question.asker, "sub": question.kind, "question": msgspec.to_builtins(question)}
    return signer.seal(claims, audience=member.name)


def read_question(token: str, *, me: str, key_of: Callable[[str], str | None]) -> Question:
    """Return a question to ``me``. ``key_of`` returns the public key of a process by name. Raises CallRefusedError."""
    asker = signer_named(token)
    key = key_of(asker)
    if not key:
        raise CallRefusedError(f"{asker or 'a caller without a name'} is not known here")
    question = _convert(unseal(token, public_key=key, audience=me).get("question"), Question)
    if question.asker != asker or (question.kind is Kind.RENEW and question.holder != asker):
        raise CallRefusedError("asked in another's name")
    return question


def answer(signer: Signer, question: Question, result: msgspec.Struct) -> str:
    """Return the body of an answer."""
    claims = {"sub": question.kind, "nonce": question.nonce, "answer": msgspec.to_builtins(result)}
    return signer.seal(claims, audience=question.asker)


def read_answer(token: str, member: Member, question: Question, kind: type[T]) -> T:
    """Return a member's answer to ``question``. Raises CallRefusedError."""
    claims = unseal(token, public_key=member.key, audience=question.asker)
    if claims.get("nonce") != question.nonce:
        raise CallRefusedError("an answer to another question")
    return _convert(claims.get("answer"), kind)


def _convert(value: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise CallRefusedError(f"not understood: {error}") from None
