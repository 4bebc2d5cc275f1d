"""The vault stand-in over TLS on a free port, in this process, and requests that the real Azure clients send to it."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ibfeed_api.feed import KeyVault
from ibfeed_simulator.vault.server import Server
from ibfeed_worker.credentials.reader import read_vault
from ibfeed_worker.credentials.request import Limits, VaultRequest
from ibfeed_worker.credentials.values import Credentials, CredentialsError

USERNAME = "paperuser3"
PASSWORD = "s3cr3t-Pa55-of-three"  # looked for in every log and exception
CLIENT = "44444444-4444-4444-8444-444444444444"

QUICK = Limits(connect=1.0, read=1.0, retries=2, backoff=0.01, longest_wait=1.0, total=20.0)


@dataclass(frozen=True)
class Tls:
    ca: Path
    cert: Path
    key: Path


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A private CA and a server certificate for 127.0.0.1."""
    directory = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault")])
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            hosts = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    files = Tls(directory / "ca.pem", directory / "tls.pem", directory / "tls.key")
    files.ca.write_bytes(certificate(ca_name, ca_key.public_key(), ca=True).public_bytes(serialization.Encoding.PEM))
    files.cert.write_bytes(certificate(name, key.public_key(), ca=False).public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.fixture
async def vault(tls: Tls) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    secrets = {"ib-username-3": USERNAME, "ib-password-3": PASSWORD}
    async with Server(secrets, context, control_port=0) as server:
        yield server


def federated_token(**changes: object) -> str:
    """A ServiceAccount token as a cluster projects it (its signature is not looked at)."""
    claims = {
        "aud": ["api://AzureADTokenExchange"],
        "iss": "https://kubernetes.default.svc.cluster.local",
        "sub": "system:serviceaccount:feeds:energy-worker",
        "exp": time.time() + 3600,
        **changes,
    }
    parts = (json.dumps(part).encode() for part in ({"alg": "RS256"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])


@dataclass
class Reader:
    """Reads account 3 of the stand-in with the real clients, in a thread. Change what a test is about."""

    server: Server
    tls: Tls
    token_file: Path
    env: dict[str, str]
    vault: KeyVault
    extra_ca: str | None
    limits: Limits = QUICK

    @property
    def request(self) -> VaultRequest:
        return VaultRequest(vault=self.vault, index=3, namespace="feeds", extra_ca=self.extra_ca, limits=self.limits)

    async def read(self) -> Credentials:
        return await asyncio.to_thread(read_vault, self.request, self.env)

    async def failure(self) -> CredentialsError:
        """The failure of a read; whatever it is, it holds no secret and no context that could."""
        with pytest.raises(CredentialsError) as caught:
            await self.read()
        error = caught.value
        assert PASSWORD not in f"{error!r} {error.args}"
        assert error.__cause__ is None and (error.__suppress_context__ or error.__context__ is None)
        assert error.message and "\n" not in error.message
        return error

    def as_managed(self) -> None:
        """In a cluster without a federated token."""
        self.env = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.fixture
def reader(vault: Server, tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    for name in (
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "IDENTITY_ENDPOINT",
        "MSI_ENDPOINT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{vault.control_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    token_file = tmp_path / "token"
    token_file.write_text(federated_token())
    url = f"https://127.0.0.1:{vault.port}"
    return Reader(
        server=vault,
        tls=tls,
        token_file=token_file,
        env={"AZURE_FEDERATED_TOKEN_FILE": str(token_file), "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        vault=KeyVault(url=url, authority_host=url, tenant_id=vault.tenant, client_id=CLIENT),
        extra_ca=str(tls.ca),
    )


@pytest.fixture(autouse=True)
def _no_secret_in_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, with every logger at its most talkative: the password is in no record."""
    caplog.set_level(logging.DEBUG)
    yield
    for record in caplog.get_records("call"):
        assert PASSWORD not in record.getMessage()
        assert PASSWORD not in (record.exc_text or "")
