"""Kubernetes Secrets with the errors that ``credentials`` expects."""

from __future__ import annotations

from collections.abc import Mapping

from ibfeed_worker.credentials import SecretForbiddenError, SecretNotFoundError, SecretUnreachableError
from ibfeed_worker.kube.client import ForbiddenError, Kube, KubeError, NotFoundError


def read_secret(kube: Kube, name: str) -> Mapping[str, bytes]:
    """Return the Secret's data.

    Blocking. Raises SecretNotFoundError, SecretForbiddenError or SecretUnreachableError.
    """
    try:
        return kube.read_secret(name)
    except NotFoundError:
        raise SecretNotFoundError(name) from None
    except ForbiddenError:
        raise SecretForbiddenError(name) from None
    except KubeError:
        raise SecretUnreachableError(name) from None
