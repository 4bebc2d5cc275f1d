"""Certificates: a private authority with one server certificate, and the gateway's own odd certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Issued:
    """An authority, a server certificate and its key, as PEM texts."""

    authority: str
    certificate: str
    key: str = field(repr=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def issue(hosts: list[str]) -> Issued:
    """Make an authority, whose key is forgotten, and its certificate for ``hosts`` (names and addresses)."""
    authority = trustme.CA(organization_name="ibfeed simulator")
    issued = authority.issue_cert(*hosts)
    chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
    return Issued(authority.cert_pem.bytes().decode(), chain.decode(), issued.private_key_pem.bytes().decode())


@dataclass(frozen=True)
class GatewayCertificate:
    """The gateway's certificate. ``pem`` has the key, too; ``sha256`` is the certificate's fingerprint in hex."""

    pem: str = field(repr=False)
    sha256: str


def gateway_certificate() -> GatewayCertificate:
    """Return the same bytes each time, odd in the way of IB's: self-signed, names no host, expired in May 2019.

    Its key follows from a constant. IB's gateway, too, ships a key that everybody has. The connection is safe because
    it never leaves the machine, and the client checks the fingerprint.
    """
    secret = int.from_bytes(hashlib.sha256(b"ibfeed simulator: gateway stand-in").digest(), "big")
    key = ec.derive_private_key(secret, ec.SECP256R1())
    name = _name("Client Portal Web API")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2018, 5, 22, tzinfo=UTC))
        .not_valid_after(datetime(2019, 5, 22, tzinfo=UTC))
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    pem = certificate.public_bytes(Encoding.PEM).decode() + _pem_key(key)
    return GatewayCertificate(pem, certificate.fingerprint(hashes.SHA256()).hex())
