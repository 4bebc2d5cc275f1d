"""A Key Vault with real processes on both sides: the stand-in as users run it, the reader as a worker starts it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ibfeed_api.feed import Accounts, KeyVault
from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials import CredentialsError, CredentialSource, source_of
from support.vault import CLIENT, federated_token, private_tls

TENANT = "33333333-3333-4333-8333-333333333333"
PASSWORDS = {index: f"pa55-of-{index}" for index in (1, 2, 3)}


@dataclass
class Vault:
    process: subprocess.Popen[str]
    port: int
    control: int
    log: Path
    source: CredentialSource

    def fault(self, method: str, **fault: object) -> None:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control}/control/faults", method=method, data=json.dumps(fault).encode()
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status in (200, 204)


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    tls = private_tls(tmp_path)
    users = tmp_path / "users.json"
    users.write_text(
        json.dumps([{"username": f"paper{i}", "password": word, "index": i} for i, word in PASSWORDS.items()])
    )
    token = tmp_path / "token"
    token.write_text(federated_token())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(token))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    log = tmp_path / "vault.log"
    command = [sys.executable, "-m", "ibfeed_simulator", "vault", "--host=127.0.0.1", "--port=0", "--control-port=0"]
    files = [f"--tls-cert={tls.cert}", f"--tls-key={tls.key}", f"--secrets={users}"]
    with log.open("w") as stderr:
        process = subprocess.Popen([*command, *files], stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ports = re.match(r"vault listens on (\d+), control on (\d+); 6 secrets", line)
        assert ports, f"{line!r} {log.read_text()}"
        url = f"https://127.0.0.1:{ports[1]}"
        accounts = Accounts(key_vault=KeyVault(url=url, authority_host=url, tenant_id=TENANT, client_id=CLIENT))
        source = source_of(accounts, namespace="feeds", read_secret=lambda _name: {}, extra_ca=tls.ca)
        yield Vault(process, int(ports[1]), int(ports[2]), log, source)
    finally:
        process.kill()
        process.communicate()


async def test_workers_read_their_accounts_at_once(vault: Vault) -> None:
    read = await asyncio.gather(*(vault.source.read(index) for index in PASSWORDS))
    assert {each.username: each.password for each in read} == {f"paper{i}": word for i, word in PASSWORDS.items()}


async def test_a_refusal_passes_with_its_cause_and_the_end_is_clean(vault: Vault) -> None:
    vault.fault("POST", fault="deny-rbac")
    with pytest.raises(CredentialsError, match="Key Vault Secrets User") as caught:
        await vault.source.read(2)
    assert caught.value.reason is Reason.VAULT_DENIED
    vault.fault("DELETE")
    assert (await vault.source.read(2)).password == PASSWORDS[2]

    vault.process.send_signal(signal.SIGTERM)
    output, _ = vault.process.communicate(timeout=10)
    assert vault.process.returncode == 0
    assert not [word for word in PASSWORDS.values() if word in output + vault.log.read_text()]

    with pytest.raises(CredentialsError, match="cannot be reached") as caught:
        await vault.source.read(2)
    assert (caught.value.reason, caught.value.retryable) == (Reason.VAULT_UNREACHABLE, True)
