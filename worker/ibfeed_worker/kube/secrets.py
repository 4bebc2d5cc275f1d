"""Secrets as the credentials part asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from ibfeed_worker.credentials import SecretForbiddenError, SecretNotFoundError, SecretUnreachableError
from ibfeed_worker.kube.client import ForbiddenError, Kube, KubeError, NotFoundError


def read_secret(kube: Kube, name: str) -> Mapping[str, bytes]:
    """Blocking. The Secret's data. Raises SecretNotFound, SecretForbidden or SecretUnreachable."""
    try:
        return kube.read_secret(name)
    except NotFoundError:
        raise SecretNotFoundError(name) from None
    except ForbiddenError:
        raise SecretForbiddenError(name) from None
    except KubeError:
        raise SecretUnreachableError(name) from None
