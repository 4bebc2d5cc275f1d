"""Credentials from a Kubernetes Secret."""

from __future__ import annotations

import pytest

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials import (
    CredentialsError,
    SecretForbiddenError,
    SecretNotFoundError,
    SecretUnreachableError,
)
from ibfeed_worker.credentials.secret import KubernetesSecret, ReadSecret

DATA = {"username-3": b"paperuser3\n", "password-3": b"pa ss\r\n", "username-4": b"paperuser4", "password-5": b""}


def source(read_secret: ReadSecret = lambda name: {"ib-paper-accounts": DATA}[name]) -> KubernetesSecret:
    return KubernetesSecret("ib-paper-accounts", namespace="feeds", read_secret=read_secret)


async def failure(of: KubernetesSecret, index: int = 3) -> CredentialsError:
    with pytest.raises(CredentialsError) as caught:
        await of.read(index)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert "feeds/ib-paper-accounts" in caught.value.message
    return caught.value


async def test_both_keys_without_line_ends() -> None:
    credentials = await source().read(3)
    assert (credentials.username, credentials.password) == ("paperuser3", "pa ss")


@pytest.mark.parametrize(
    ("index", "missing"), [(4, "no password-4,"), (5, "no username-5 and no password-5,"), (6, "no username-6 and")]
)
async def test_a_missing_or_empty_key_names_both(index: int, missing: str) -> None:
    error = await failure(source(), index)
    assert missing in error.message
    assert f"needs the keys username-{index} and password-{index}" in error.message
    assert not error.retryable


@pytest.mark.parametrize(
    ("raised", "hint", "retryable"),
    [
        (SecretNotFoundError(), "does not exist; create it", False),
        (SecretForbiddenError(), "its Role must name it", False),
        (SecretUnreachableError(), "gave no answer", True),
    ],
)
async def test_what_the_api_says(raised: Exception, hint: str, retryable: bool) -> None:
    def read_secret(_name: str) -> dict[str, bytes]:
        raise raised

    error = await failure(source(read_secret))
    assert hint in error.message
    assert error.retryable is retryable
    assert error.__suppress_context__


async def test_not_text() -> None:
    error = await failure(source(lambda _name: {"username-3": b"a", "password-3": b"\xff\xfe"}))
    assert "password-3" in error.message and "UTF-8" in error.message


@pytest.mark.parametrize(
    "written",
    [
        b"\xef\xbb\xbfpaperuser3\r\n",
        b" paperuser3\t\n",
        "paperuser3\n".encode("utf-16"),
        "\u00a0paperuser3\u200b".encode(),
    ],
)
async def test_what_editors_leave_is_taken_away(written: bytes) -> None:
    credentials = await source(lambda _name: {"username-3": written, "password-3": written}).read(3)
    assert (credentials.username, credentials.password) == ("paperuser3", "paperuser3")


@pytest.mark.parametrize("written", [b"a\0b", b"\x80abc"])
async def test_bytes_that_are_no_text_are_named(written: bytes) -> None:
    error = await failure(source(lambda _name: {"username-3": b"a", "password-3": written}))
    assert "password-3" in error.message and "UTF-8" in error.message
