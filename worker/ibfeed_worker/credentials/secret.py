"""Credentials from a Kubernetes Secret of the feed's namespace: keys ``username-<i>`` and ``password-<i>``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials.values import Credentials, CredentialsError, NotTextError, text_of, tidy

# The API client has its own time limits. This one keeps the promise of CredentialSource whatever they are.
_TIMEOUT_S: Final = 30.0


class SecretNotFoundError(Exception):
    """There is no Secret of this name."""


class SecretForbiddenError(Exception):
    """The worker's ServiceAccount may not read this Secret."""


class SecretUnreachableError(Exception):
    """The Kubernetes API gave no answer, or one that makes no sense."""


# Returns the data of a Secret by name and may block. Raises one of the three errors above.
ReadSecret = Callable[[str], Mapping[str, bytes]]


class KubernetesSecret:
    """A Kubernetes Secret as the source of credentials; it is read again for every account."""

    def __init__(self, name: str, *, namespace: str, read_secret: ReadSecret) -> None:
        self._name = name
        self._namespace = namespace
        self._read_secret = read_secret

    async def read(self, index: int) -> Credentials:
        data = await self._data()
        keys = (f"username-{index}", f"password-{index}")
        texts = {key: self._text(key, data[key]) for key in keys if key in data}
        missing = [key for key in keys if not texts.get(key)]
        if missing:
            raise self._error(
                f"{_where(self)} has no {' and no '.join(missing)}, or it is empty; account {index} needs the keys "
                f"{keys[0]} and {keys[1]}"
            )
        return Credentials(*(texts[key] for key in keys))

    async def _data(self) -> Mapping[str, bytes]:
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._read_secret, self._name), _TIMEOUT_S)
        except SecretNotFoundError:
            raise self._error(
                f"{_where(self)} does not exist; create it with the keys username-<i> and password-<i> of each account"
            ) from None
        except SecretForbiddenError:
            raise self._error(
                f"the worker may not read {_where(self)}; its Role must name it (the operator writes that Role: look "
                "for its messages, and for an admission rule that changes Roles)"
            ) from None
        except (SecretUnreachableError, TimeoutError):
            raise self._error(f"the Kubernetes API gave no answer about {_where(self)}", retryable=True) from None

    def _text(self, key: str, value: bytes) -> str:
        try:
            return tidy(text_of(value))
        except NotTextError:
            raise self._error(f"{key} of {_where(self)} is not text in UTF-8: write it again") from None

    @staticmethod
    def _error(message: str, *, retryable: bool = False) -> CredentialsError:
        return CredentialsError(Reason.CREDENTIALS_MISSING, message, retryable=retryable)


def _where(source: KubernetesSecret) -> str:
    return f"Secret {source._namespace}/{source._name}"
