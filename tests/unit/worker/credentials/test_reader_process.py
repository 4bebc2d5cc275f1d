"""The reader process: the same answers through its pipes, an end in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials import CredentialsError
from ibfeed_worker.credentials.keyvault import KeyVaultSource
from support.connect_proxy import ConnectProxy

from .conftest import PASSWORD, USERNAME, Reader


@pytest.fixture
def source(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> KeyVaultSource:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name, value in reader.env.items():
        monkeypatch.setenv(name, value)
    return KeyVaultSource(reader.vault, namespace="feeds", extra_ca=Path(reader.tls.ca), limits=reader.limits)


async def test_vault_is_reached_through_a_proxy_and_this_node_is_not(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in is on this node, so under a name of its own it is what a vault elsewhere would be."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for name, value in reader.env.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    address = urlsplit(reader.vault.url)
    with ConnectProxy({f"vault.test:{address.port}": address.port or 443}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        near = KeyVaultSource(reader.vault, namespace="feeds", extra_ca=Path(reader.tls.ca), limits=reader.limits)
        assert (await near.read(3)).username == USERNAME
        assert proxy.targets == []
        vault = replace(reader.vault, url=f"https://vault.test:{address.port}")
        far = KeyVaultSource(vault, namespace="feeds", extra_ca=Path(reader.tls.ca), limits=reader.limits)
        with pytest.raises(CredentialsError):  # the certificate is for localhost; so far it came, and TLS is end to end
            await far.read(3)
        assert set(proxy.targets) == {f"vault.test:{address.port}"}


async def test_failures_come_through(source: KeyVaultSource, reader: Reader) -> None:
    reader.server.faults.set({"fault": "deny-rbac"})
    with pytest.raises(CredentialsError, match="Key Vault Secrets User") as caught:
        await source.read(3)
    assert (caught.value.reason, caught.value.retryable) == (Reason.VAULT_DENIED, False)


async def test_credentials_come_through_but_not_by_arguments_or_environment(
    source: KeyVaultSource, reader: Reader
) -> None:
    """What others on the node can see of the process while it has the password."""
    reader.server.faults.set({"fault": "slow", "secret": "ib-password-3", "seconds": 0.5})
    reading = asyncio.create_task(source.read(3))
    seen = []
    while not reading.done():
        for child in children():
            for file in ("cmdline", "environ"):
                with contextlib.suppress(OSError):  # it has just ended, or hides this from us
                    seen.append((child / file).read_bytes())
        await asyncio.sleep(0.05)
    credentials = await reading
    assert (credentials.username, credentials.password) == (USERNAME, PASSWORD)
    assert seen
    assert not [each for each in seen if PASSWORD.encode() in each or USERNAME.encode() in each]


@pytest.mark.parametrize("how", ["time limit", "cancellation"])
async def test_the_process_and_its_children_end(
    source: KeyVaultSource, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """``az`` that hangs, and a reader that waits for it."""
    started = tmp_path / "az.pid"
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\necho $$ > {started}\nsleep 60\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # what it has found before
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    limits = replace(reader.limits, read=60.0, total=60.0)
    hanging = KeyVaultSource(reader.vault, namespace="feeds", extra_ca=Path(reader.tls.ca), limits=limits)

    reading = asyncio.create_task(hanging.read(3))
    await until(lambda: reading.done() or (started.exists() and started.read_text().strip() != ""))
    if how == "cancellation":
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    else:
        loop = asyncio.get_running_loop()
        now = loop.time  # how long the reader takes to start `az` is another matter
        monkeypatch.setattr(loop, "time", lambda: now() + 60)
        with pytest.raises(CredentialsError, match="took longer than 60 s") as caught:
            await reading
        assert (caught.value.reason, caught.value.retryable) == (Reason.VAULT_UNREACHABLE, True)
    await until(lambda: not is_alive(int(started.read_text())))
    assert not children()
    assert not left_in(tmp_path)


async def test_a_process_that_dies_is_a_failure(source: KeyVaultSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "")  # no ibfeed_worker to be found, as with a broken image
    monkeypatch.chdir("/")
    with pytest.raises(CredentialsError, match="ended with 1 and no answer") as caught:
        await source.read(3)
    assert (caught.value.reason, caught.value.retryable) == (Reason.VAULT_UNREACHABLE, True)


async def until(happened: Callable[[], bool]) -> None:
    for _ in range(400):
        if happened():
            return
        await asyncio.sleep(0.05)
    pytest.fail("did not happen within 20 s")


def children() -> list[Path]:
    """Live reader processes of this one, as folders of /proc."""
    mine = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == os.getpid() and status[0] != "Z" and b"ibfeed_worker.credentials" in command:
            mine.append(folder)
    return mine


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("ibfeed-*"))


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
