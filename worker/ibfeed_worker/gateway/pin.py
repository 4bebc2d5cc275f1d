"""Trust in the gateway's certificate by its fingerprint alone.

IB's own certificate expired in 2019 and names no host. Its dates and names can't be checked, but its bytes can.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_LIMIT: Final = 5.0  # seconds for the handshake
# OpenSSL's values: the certificate is its own anchor although it is no CA, and its dates don't matter.
_PARTIAL_CHAIN: Final = 0x80000
_NO_CHECK_TIME: Final = 0x200000


class CertificateError(Exception):
    """The process on the gateway's port shows another certificate than the pinned one."""


@dataclass(frozen=True, slots=True)
class PinnedTls:
    """The means to connect to the gateway: for Python, and for Chromium, which takes only the hash of a public key."""

    context: ssl.SSLContext
    spki: str  # base64 of the SHA-256 of the SubjectPublicKeyInfo


async def pin(host: str, port: int, fingerprint: str) -> PinnedTls:
    """Fetch the certificate shown at host:port. Trust it, and only it, if its SHA-256 is ``fingerprint`` (hex).

    The handshake that fetches it sends nothing else. Raises CertificateError, OSError or TimeoutError.
    """
    shown = await asyncio.to_thread(ssl.get_server_certificate, (host, port), timeout=_LIMIT)
    der = ssl.PEM_cert_to_DER_cert(shown)
    found = hashlib.sha256(der).hexdigest()
    if found != fingerprint:
        raise CertificateError(
            f"the gateway shows a certificate with SHA-256 {found}, expected {fingerprint}: if the distribution is the "
            "right one, set spec.gateway.certificateSHA256"
        )
    return trusting(der)


def trusting(der: bytes) -> PinnedTls:
    """Return a client context whose one trust anchor is this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=der)
    context.verify_flags |= ssl.VerifyFlags(_PARTIAL_CHAIN | _NO_CHECK_TIME)
    key = x509.load_der_x509_certificate(der).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PinnedTls(context, base64.b64encode(hashlib.sha256(spki).digest()).decode())
