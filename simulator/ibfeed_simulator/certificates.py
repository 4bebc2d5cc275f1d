"""Certificates: a private authority with one server certificate, and the gateway's own odd certificate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=3650)
_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class Issued:
    """An authority, a server certificate and its key, as PEM texts."""

    authority: str
    certificate: str
    key: str = field(repr=False)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem_key(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def issue(hosts: list[str]) -> Issued:
    """Make an authority, whose key is forgotten, and its certificate for ``hosts`` (names and addresses)."""
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        x509.CertificateBuilder()
        .subject_name(_name("ibfeed simulator authority"))
        .issuer_name(_name("ibfeed simulator authority"))
        .public_key(authority_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(hosts[0][:64]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return Issued(
        authority.public_bytes(Encoding.PEM).decode(), certificate.public_bytes(Encoding.PEM).decode(), _pem_key(key)
    )


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
