"""A trial of one address of Kafka: resolve it, connect, shake hands.

The client library tells too little: an unknown CA, a wrong name and an expired certificate are one text to it.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from typing import Final

from ibfeed_worker.publish.trouble import Fault, Finding

LIMIT_S: Final = 2.0
_EXPIRED: Final = frozenset({9, 10})  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED
_OTHER_NAME: Final = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL})


def split(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[ipv6]:port``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def look_at(address: str, *, tls: bool, authority: str = "", check_name: bool = True) -> Finding:
    """Try one address. Blocks for little more than ``LIMIT_S``; a name server that does not answer may take longer.

    Args:
        tls: whether we speak it; then the certificate is checked.
        authority: the CAs to check it against, in PEM; empty: the public ones.
        check_name: whether the certificate is checked against the host's name, too.
    """
    deadline = time.monotonic() + LIMIT_S
    host, port = split(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return Finding(address, Fault.UNRESOLVED, error.strerror or str(error))
    failure = Finding(address, Fault.UNANSWERED, "no address")
    for family, kind, protocol, _, target in found:
        with socket.socket(family, kind, protocol) as connection:
            connection.settimeout(_left(deadline))
            try:
                connection.connect(target)
            except OSError as error:
                failure = _of_connect(address, error)
                continue
            connection.settimeout(_left(deadline))
            return _shake_hands(address, host, connection, tls=tls, authority=authority, check_name=check_name)
    return failure


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _of_connect(address: str, error: OSError) -> Finding:
    if isinstance(error, TimeoutError):
        return Finding(address, Fault.UNANSWERED, f"nothing within {LIMIT_S:g} s")
    if isinstance(error, ConnectionRefusedError):
        return Finding(address, Fault.REFUSED)
    fault = Fault.UNROUTED if error.errno in _NO_ROUTE else Fault.UNANSWERED
    return Finding(address, fault, error.strerror or type(error).__name__)


def _shake_hands(
    address: str, host: str, connection: socket.socket, *, tls: bool, authority: str, check_name: bool
) -> Finding:
    """Try a TLS handshake on a connection.

    Without TLS of ours it is tried all the same, to see whether TLS is spoken.
    """
    context = ssl.create_default_context(cadata=authority or None) if tls else _trusting_anybody()
    context.check_hostname = tls and check_name
    try:
        with context.wrap_socket(connection, server_hostname=host):
            return Finding(address, Fault.NONE if tls else Fault.SPEAKS_TLS)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _EXPIRED:
            return Finding(address, Fault.EXPIRED, error.verify_message)
        if error.verify_code in _OTHER_NAME:
            return Finding(address, Fault.NAMED_OTHERWISE, error.verify_message.rstrip("."))
        return Finding(address, Fault.UNTRUSTED, error.verify_message)
    except ssl.SSLError as error:
        if not tls:
            # It knows TLS well enough to refuse ours, or speaks something else.
            speaks = error.reason is not None and "ALERT" in error.reason
            return Finding(address, Fault.SPEAKS_TLS if speaks else Fault.NONE)
        if error.reason in ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_EOF_WHILE_READING"):
            return Finding(address, Fault.SPEAKS_PLAIN)
        return Finding(address, Fault.TLS_BROKEN, error.reason or "no reason given")
    except TimeoutError:
        return Finding(address, Fault.UNANSWERED if tls else Fault.NONE, f"no TLS handshake within {LIMIT_S:g} s")
    except OSError:  # a broken connection: a Kafka without TLS takes our first bytes for a request of absurd size
        return Finding(address, Fault.SPEAKS_PLAIN if tls else Fault.NONE)


def _trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
