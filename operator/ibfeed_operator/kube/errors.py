"""All exceptions of the operator.

Exception
|
+-- KubeError                   the API server refused
|   +-- UnreachableError        it does not answer in time
|   +-- NotFoundError           404
|   +-- ConflictError           409: another client wrote first; read again
|   +-- NotLeadingError         a write that was not sent, since another operator may be acting
+-- LeadershipLostError         the Lease is not ours any more: the process ends
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


class LeadershipLostError(Exception):
    """The Lease is not ours any more. The process ends, since none of its work may reach the cluster."""
