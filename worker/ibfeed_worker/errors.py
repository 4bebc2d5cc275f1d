"""The ways out of a session that can't go on, and a map of all exceptions of the worker.

A step on the way to streaming that can't go on raises one of the three exceptions of this module. The packages' own
exceptions stay in the modules that raise them.

    Exception
    |
    +-- errors
    |   +-- SessionError                the session can't go on now; try again later
    |   +-- ReloginDueError             the session is to be replaced on schedule
    |   +-- AccountParkedError          the account is left alone for hours, or until a correction
    +-- config
    |   +-- ConfigError                 a variable of the environment is missing or wrong
    +-- runtime
    |   +-- PartFailedError             a part ended that never should; the process starts again
    |   +-- ProxyError                  HTTPS_PROXY names a proxy that can't be used
    +-- kube
    |   +-- KubeError                   the API server could not be asked, or refused
    |       +-- NotFoundError           404: the object is not there
    |       +-- ConflictError           409: the object was changed first by another client
    |       +-- ForbiddenError          401, 403: our ServiceAccount may not do this
    |       +-- GoneError               410: the resourceVersion is too old to watch from
    +-- credentials
    |   +-- CredentialsError            the account's user name and password could not be had
    |   +-- SecretNotFoundError         there is no Secret of this name
    |   +-- SecretForbiddenError        our ServiceAccount may not read the Secret
    |   +-- SecretUnreachableError      the API server gave no answer that makes sense
    |   +-- NotTextError                a value of a Secret is no text
    +-- gateway
    |   +-- DistributionError           the archive in the image can't be started
    |   +-- PortTakenError              another process listens on the gateway's port
    |   +-- GatewayFailedError          the process did not start
    |   +-- CertificateError            the port shows another certificate than the pinned one
    |   +-- TunnelClosedError           the worker can't listen where the gateway looks for IB
    |   +-- _TunnelRefusedError         the proxy opened no tunnel for a connection
    +-- login
    |   +-- _MissingElementError        an element of the form is not on the page
    |   +-- _WithdrawnError             the form may not be sent any more
    +-- session
    |   +-- PenalisedError              the address must stay silent after a 429
    +-- universe
    |   +-- UnknownRootError            IB lists no futures of this root
    |   +-- CannotAskError              there is no session, or IB does not answer now
    |   +-- AnswerError                 IB's answer about contracts makes no sense
    +-- hours
    |   +-- HoursError                  IB's answer can't be read as trading hours
    +-- publish
    |   +-- BrokerError                 Kafka can't be used
    |   +-- QueueFullError              the client's queue has no room
    |   +-- UnsendableError             no producer can send the record
    |   +-- NoMetadataError             no broker has told anything
    |   +-- TopicCreationError          a topic can't be created
    |   +-- TableError                  a compacted topic can't be used as a table
    |   +-- ProducerConfigError         kafka.config sets what it may not
    |   +-- KafkaSecretError            the content of a Secret can't be used
    |   +-- SecretsError                the Secrets of spec.kafka can't be had or used
    +-- ValueError
        +-- ticks.NumberError           the text is no number in any of IB's forms
        +-- stream.UnreadableFrameError the message is no JSON object
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from ibfeed_api.reasons import Reason


class SessionError(Exception):
    """The session can't go on now. It is tried again after the usual back-off, unless a time is given.

    Args:
        until: the earliest time of the next try.
        delay: seconds until the next try.
        restart_gateway: whether a new gateway process is to be tried.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        until: datetime | None = None,
        delay: float | None = None,
        restart_gateway: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message
        self.until: Final = until
        self.delay: Final = delay
        self.restart_gateway: Final = restart_gateway


class ReloginDueError(Exception):
    """The session is to be replaced on schedule; nothing is wrong with it."""


class AccountParkedError(Exception):
    """The account is parked, or is to be. It is not tried again for hours, unless a person corrects something."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Final = reason
        self.message: Final = message
