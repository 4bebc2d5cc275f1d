"""Credentials from a Key Vault with the real Azure clients: each identity, and each way to fail with its words."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from ibfeed_api.reasons import Reason
from ibfeed_simulator.vault.tokens import Caller
from support.vault import CLIENT, federated_token

from .conftest import PASSWORD, USERNAME, Reader


def fake_az(directory: Path, script: str) -> dict[str, str]:
    """Environment in which ``az`` is this shell script, and no cluster is near."""
    directory.mkdir()
    program = directory / "az"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}:/bin:/usr/bin"}


class TestIdentities:
    async def test_workload_identity(self, reader: Reader) -> None:
        credentials = await reader.read()
        assert (credentials.username, credentials.password) == (USERNAME, PASSWORD)

    async def test_workload_identity_from_the_webhooks_environment(self, reader: Reader) -> None:
        reader.env |= {
            "AZURE_TENANT_ID": reader.server.tenant,
            "AZURE_CLIENT_ID": CLIENT,
            "AZURE_AUTHORITY_HOST": reader.vault.url,
        }
        reader.vault = replace(reader.vault, tenant_id=None, client_id=None, authority_host=None)
        assert (await reader.read()).username == USERNAME

    @pytest.mark.parametrize("client", [None, CLIENT])
    async def test_managed_identity(self, reader: Reader, client: str | None) -> None:
        reader.as_managed()
        reader.vault = replace(reader.vault, tenant_id=None, client_id=client, authority_host=None)
        assert (await reader.read()).password == PASSWORD

    async def test_az_login(self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        caller = Caller(app=CLIENT, object=CLIENT, tenant=reader.server.tenant)
        token = reader.server.tokens.issue(caller, f"https://0.0.1:{reader.server.port}")
        answer = f'{{"accessToken": "{token}", "expires_on": {int(time.time()) + 3600}}}'
        reader.env = fake_az(tmp_path / "bin", f"echo '{answer}'")
        monkeypatch.setenv("PATH", reader.env["PATH"])
        assert (await reader.read()).password == PASSWORD

    async def test_line_ends_of_echo_are_no_part_of_a_value(self, reader: Reader) -> None:
        reader.server.store.put("ib-password-3", f"{PASSWORD}\n")
        assert (await reader.read()).password == PASSWORD

    async def test_prefixes_are_the_specs(self, reader: Reader) -> None:
        reader.server.store.put("u3", "other")
        reader.server.store.put("p3", "word")
        reader.vault = replace(reader.vault, username_prefix="u", password_prefix="p")
        credentials = await reader.read()
        assert (credentials.username, credentials.password) == ("other", "word")


class TestSecrets:
    @pytest.mark.parametrize("name", ["ib-username-3", "ib-password-3"])
    async def test_not_found_names_both(self, reader: Reader, name: str) -> None:
        reader.server.store.delete(name)
        reader.server.store.purge(name)
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.CREDENTIALS_MISSING, False)
        assert f"has no secret {name};" in error.message
        assert "needs ib-username-3 and ib-password-3" in error.message

    async def test_soft_deleted_says_how_to_recover(self, reader: Reader) -> None:
        reader.server.store.delete("ib-password-3")
        error = await reader.failure()
        assert error.reason is Reason.CREDENTIALS_MISSING
        assert "az keyvault secret recover --vault-name 127 --name ib-password-3" in error.message

    async def test_soft_deleted_is_not_found_where_looking_is_forbidden(self, reader: Reader) -> None:
        """The role Key Vault Secrets User need not be allowed to see deleted secrets."""
        reader.server.store.delete("ib-password-3")
        reader.server.faults.set({"fault": "slow", "secret": "ib-password-3", "count": 1, "seconds": 0})
        reader.server.faults.set({"fault": "deny-rbac", "secret": "ib-password-3"})
        error = await reader.failure()
        assert error.reason is Reason.CREDENTIALS_MISSING
        assert "a deleted secret looks the same" in error.message

    async def test_disabled(self, reader: Reader) -> None:
        reader.server.store.put("ib-password-3", PASSWORD, enabled=False)
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.CREDENTIALS_MISSING, False)
        assert "is disabled; enable ib-username-3 and ib-password-3" in error.message

    async def test_expired_is_refused_though_the_vault_hands_it_out(self, reader: Reader) -> None:
        reader.server.store.put("ib-password-3", PASSWORD, expires=int(time.time()) - 60)
        error = await reader.failure()
        assert error.reason is Reason.CREDENTIALS_MISSING
        assert "secret ib-password-3" in error.message and "expired on" in error.message

    async def test_not_yet_valid(self, reader: Reader) -> None:
        reader.server.store.put("ib-username-3", USERNAME, not_before=int(time.time()) + 3600)
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.CREDENTIALS_MISSING, True)
        assert "not valid before" in error.message

    async def test_empty(self, reader: Reader) -> None:
        reader.server.store.put("ib-password-3", "\n")
        error = await reader.failure()
        assert error.reason is Reason.CREDENTIALS_MISSING
        assert "secret ib-password-3" in error.message and "is empty" in error.message


class TestDenied:
    @pytest.mark.parametrize(
        ("fault", "hint"),
        [
            ("deny-rbac", 'assign it the role "Key Vault Secrets User"'),
            ("deny-policy", "access policy with the secret permission Get"),
            ("deny-firewall", "firewall"),
        ],
    )
    async def test_403_names_the_identity_and_the_remedy(self, reader: Reader, fault: str, hint: str) -> None:
        reader.server.faults.set({"fault": fault})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_DENIED, False)
        assert hint in error.message
        assert f"workload identity {CLIENT} (appid={CLIENT}, oid=" in error.message

    async def test_token_of_another_tenant(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "wrong-issuer"})
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert "another tenant" in error.message and "AKV10032" in error.message

    async def test_vault_of_another_tenant_than_the_spec_says(self, reader: Reader) -> None:
        reader.vault = replace(reader.vault, tenant_id="55555555-5555-4555-8555-555555555555")
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert f"belongs to tenant {reader.server.tenant}," in error.message
        assert "tenant 55555555" in error.message

    @pytest.mark.parametrize(
        ("claims", "code", "hint"),
        [
            ({"aud": "https://kubernetes.default.svc"}, "AADSTS700212", "audience api://AzureADTokenExchange"),
            ({"sub": "somebody"}, "AADSTS700213", "system:serviceaccount:feeds:"),
            ({"exp": 1}, "AADSTS700024", "clocks"),
        ],
    )
    async def test_federated_token_refused(
        self, reader: Reader, claims: dict[str, object], code: str, hint: str
    ) -> None:
        reader.token_file.write_text(federated_token(**claims))
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert code in error.message and hint in error.message

    async def test_unknown_refusal_of_entra_gives_its_code(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "entra-refuses", "code": 53003})
        error = await reader.failure()
        assert "error?code=53003" in error.message


class TestNoIdentity:
    async def test_no_metadata_service(self, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
        reader.as_managed()
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{closed_port()}")
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_DENIED, True)
        assert "no federated token (AZURE_FEDERATED_TOKEN_FILE)" in error.message
        assert "metadata service" in error.message

    async def test_no_identity_on_this_node(self, reader: Reader) -> None:
        reader.as_managed()
        reader.server.faults.set({"fault": "no-identity"})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_DENIED, False)
        assert f"managed identity {CLIENT} is not assigned" in error.message

    async def test_federated_token_without_a_client(self, reader: Reader) -> None:
        reader.vault = replace(reader.vault, client_id=None)
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert "clientId of its identity is not known" in error.message

    async def test_federated_token_file_is_gone(self, reader: Reader) -> None:
        reader.token_file.unlink()
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert "AZURE_FEDERATED_TOKEN_FILE" in error.message

    async def test_no_az(self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reader.env = {}
        monkeypatch.setenv("PATH", str(tmp_path))
        error = await reader.failure()
        assert error.reason is Reason.VAULT_DENIED
        assert "Azure CLI is not installed" in error.message

    async def test_az_not_logged_in(self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reader.env = fake_az(tmp_path / "bin", "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1")
        monkeypatch.setenv("PATH", reader.env["PATH"])
        assert "is not logged in; run `az login`" in (await reader.failure()).message

    async def test_az_hangs(self, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        reader.env = fake_az(tmp_path / "bin", "exec sleep 60")
        reader.limits = replace(reader.limits, read=1.0)
        monkeypatch.setenv("PATH", reader.env["PATH"])
        error = await reader.failure()
        assert error.retryable and "in time" in error.message


class TestUnreachable:
    async def test_nothing_listens(self, reader: Reader) -> None:
        reader.vault = replace(reader.vault, url=f"https://127.0.0.1:{closed_port()}")
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "host of the vault 127.0.0.1 cannot" in error.message

    async def test_name_does_not_resolve(self, reader: Reader) -> None:
        reader.vault = replace(reader.vault, url="https://no-such-vault.invalid")
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "no-such-vault.invalid does not resolve" in error.message

    async def test_token_endpoint_is_named_when_it_is_that(self, reader: Reader) -> None:
        reader.vault = replace(reader.vault, authority_host="https://login.invalid")
        error = await reader.failure()
        assert error.reason is Reason.VAULT_UNREACHABLE
        assert "of the token endpoint login.invalid does not resolve" in error.message

    async def test_private_ca_not_trusted(self, reader: Reader) -> None:
        reader.extra_ca = None
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, False)
        assert "not trusted" in error.message and "spec.extraCA" in error.message

    async def test_private_ca_file_is_missing(self, reader: Reader, tmp_path: Path) -> None:
        reader.extra_ca = str(tmp_path / "absent.crt")
        error = await reader.failure()
        assert error.reason is Reason.VAULT_UNREACHABLE
        assert "spec.extraCA" in error.message

    async def test_answers_too_late(self, reader: Reader) -> None:
        reader.limits = replace(reader.limits, read=0.2, retries=0)
        reader.server.faults.set({"fault": "slow", "seconds": 0.6})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "in time" in error.message

    async def test_connection_dropped(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "drop"})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)

    async def test_throttled_once_is_waited_for(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "throttle", "count": 1, "retryAfter": 1})
        began = time.monotonic()
        assert (await reader.read()).username == USERNAME
        assert time.monotonic() - began >= 1.0

    async def test_throttled_past_the_limit(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "throttle", "retryAfter": 600})
        began = time.monotonic()
        error = await reader.failure()
        assert time.monotonic() - began < 60
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "throttles (429, and asks for 600 s of silence)" in error.message

    async def test_server_error_that_passes(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "server-error", "count": 2})
        assert (await reader.read()).username == USERNAME

    async def test_server_error_that_stays(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "server-error", "status": 500})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "answered 500 3 times" in error.message

    async def test_entra_down(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "entra-down"})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "gives no token" in error.message

    async def test_challenge_for_another_service(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "wrong-resource"})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, False)
        assert "spec.accounts.keyVault.url" in error.message

    async def test_something_else_answers(self, reader: Reader) -> None:
        reader.server.faults.set({"fault": "garbage"})
        error = await reader.failure()
        assert (error.reason, error.retryable) == (Reason.VAULT_UNREACHABLE, True)
        assert "no Key Vault" in error.message


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
