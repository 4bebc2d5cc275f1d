"""The errors of the Kubernetes API, as one tree.

KubeError
├── UnreachableError   the API server does not answer in time
├── NotFoundError      404
├── ConflictError      409: another client wrote first; read again
└── NotLeadingError    a write that was not sent, since another operator may be acting
"""

from __future__ import annotations


class KubeError(Exception):
    """The API server refused. The text is the server's own message."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class UnreachableError(KubeError):
    pass


class NotFoundError(KubeError):
    pass


class ConflictError(KubeError):
    pass


class NotLeadingError(KubeError):
    pass
