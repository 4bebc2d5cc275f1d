"""A certificate authority for tests, and certificates that it issues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key


class Authority:
    """A certificate authority. ``pem`` is its certificate."""

    def __init__(self, name: str = "test-ca") -> None:
        self._ca = trustme.CA(organization_name=name)
        self.pem = self._ca.cert_pem.bytes()

    def issue(self, name: str, *hosts: str, days: int = 10) -> tuple[bytes, bytes]:
        """Return a certificate and its key, as PEM. ``hosts`` are names or addresses; ``days`` below 0: expired."""
        now = datetime.now(UTC)
        end = now + timedelta(days=days)
        issued = self._ca.issue_cert(
            *(hosts or (name,)),  # an empty list of hosts is malformed to Java
            common_name=name,
            not_before=min(now, end) - timedelta(days=1),
            not_after=end,
        )
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        # Kafka reads no other form of a key.
        return issued.cert_chain_pems[0].bytes(), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def keystore(folder: Path, name: str, certificate: bytes, key: bytes, trusted: bytes = b"") -> dict[str, str]:
    """Return Kafka's settings of a listener that shows this certificate, and trusts clients of ``trusted``."""
    own = folder / f"{name}.pem"
    own.write_bytes(key + certificate)
    settings = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(own)}
    if trusted:
        authority = folder / f"{name}-trusted.pem"
        authority.write_bytes(trusted)
        settings |= {
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority),
            "ssl.client.auth": "required",
        }
    return settings
