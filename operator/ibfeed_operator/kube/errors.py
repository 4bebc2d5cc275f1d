"""What the Kubernetes API refuses, as one tree.

ClusterError
├── Unreachable   the API server does not answer in time
├── NotFound      404
├── Conflict      409: somebody else wrote first; look again
└── NotLeading    a write that was not sent, since another operator may be acting
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
