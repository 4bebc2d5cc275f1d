"""The vault stand-in over TLS on a free port, in this process, and requests that the real Azure clients send to it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ibfeed_api.feed import KeyVault
from ibfeed_simulator.vault.server import Server
from ibfeed_worker.credentials.reader import read_vault
from ibfeed_worker.credentials.request import RequestLimits, VaultRequest
from ibfeed_worker.credentials.values import Credentials, CredentialsError
from support.vault import CLIENT, Tls, federated_token, private_tls

USERNAME = "paperuser3"
PASSWORD = "s3cr3t-Pa55-of-three"  # looked for in every log and exception

QUICK = RequestLimits(connect=5.0, read=5.0, retries=2, backoff=0.01, longest_wait=1.0, total=20.0)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return private_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def vault(tls: Tls) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.cert, tls.key)
    secrets = {"ib-username-3": USERNAME, "ib-password-3": PASSWORD}
    async with Server(secrets, context, control_port=0) as server:
        yield server


@dataclass
class Reader:
    """Reads account 3 of the stand-in with the real clients, in a thread. Change what a test is about."""

    server: Server
    tls: Tls
    token_file: Path
    env: dict[str, str]
    vault: KeyVault
    extra_ca: str | None
    limits: RequestLimits = QUICK

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
