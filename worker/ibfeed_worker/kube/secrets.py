"""Secrets as the credentials part asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from ibfeed_worker.credentials import SecretForbidden, SecretNotFound, SecretUnreachable
from ibfeed_worker.kube.client import ApiError, Forbidden, Kube, NotFound


def read_secret(kube: Kube, name: str) -> Mapping[str, bytes]:
    """Blocking. The Secret's data. Raises SecretNotFound, SecretForbidden or SecretUnreachable."""
    try:
        return kube.read_secret(name)
    except NotFound:
        raise SecretNotFound(name) from None
    except Forbidden:
        raise SecretForbidden(name) from None
    except ApiError:
        raise SecretUnreachable(name) from None
