"""The surroundings of a vault's client: a private CA, a server certificate, a federated token."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CLIENT = "44444444-4444-4444-8444-444444444444"


@dataclass(frozen=True)
class Tls:
    """The PEM files of a CA, and of a certificate for 127.0.0.1 and localhost with its key."""

    ca: Path
    cert: Path
    key: Path


def private_tls(directory: Path) -> Tls:
    """Write a new CA and a certificate of it."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    files = Tls(directory / "ca.pem", directory / "tls.pem", directory / "tls.key")
    files.ca.write_bytes(_certificate("test CA", ca_key.public_key(), ca_key, ca=True))
    files.cert.write_bytes(_certificate("vault", key.public_key(), ca_key, ca=False))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, ca_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def federated_token(**changes: object) -> str:
    """Return a ServiceAccount token as a cluster projects it. Its signature is not checked."""
    claims = {
        "aud": ["api://AzureADTokenExchange"],
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:feeds:energy-worker",
        "exp": time.time() + 3600,
        **changes,
    }
    parts = (json.dumps(part).encode() for part in ({"alg": "RS256"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])
