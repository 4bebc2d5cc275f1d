"""The name of an account source: two that are not the same must not share one, for they would share its Leases."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ibfeed_api.feed import Accounts, KeyVault, SecretRef, WorkerSpec, is_vault


def vault(url: str, **more: str) -> str:
    return Accounts(key_vault=KeyVault(url=url, **more)).source


def secret(name: str) -> str:
    return Accounts(secret_ref=SecretRef(name=name)).source


def test_short_names_stay_as_they_were() -> None:
    """Leases that hold failed logins are named by them."""
    assert vault("https://my-vault.vault.azure.net") == "kv-my-vault"
    assert vault("https://My-Vault.vault.azure.net:443/") == "kv-my-vault"
    assert secret("ib-paper-accounts") == "ib-paper-accounts"


DIFFERENT = [
    vault("https://v.vault.azure.net"),
    vault("https://v.vault.azure.cn"),
    vault("https://v.vault.usgovcloudapi.net"),
    vault("https://v.team-a.svc"),
    vault("https://v.team-b.svc"),
    vault("https://v.team-b.svc:8443"),
    vault("https://v"),
    vault("https://v.vault.azure.net", username_prefix="desk-2-user-"),
    secret("v"),
    secret("kv-v"),
    secret("secret-v"),
]


def test_equal_first_labels_are_told_apart() -> None:
    assert len(set(DIFFERENT)) == len(DIFFERENT), DIFFERENT


def test_only_the_user_names_make_the_accounts_of_a_vault() -> None:
    assert vault("https://v.team-a.svc", password_prefix="x-") == vault("https://v.team-a.svc")


def test_a_secret_never_looks_like_a_vault() -> None:
    assert [is_vault(source) for source in DIFFERENT] == [True] * 8 + [False] * 3


@given(st.from_regex(r"\A[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?\Z"))
def test_every_secret_gives_a_label(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9A-Z]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?", secret(name))
    assert len(secret(name)) <= 63


@given(st.from_regex(r"\Ahttps://[A-Za-z0-9][A-Za-z0-9-]{0,49}([.][A-Za-z0-9-]+){0,5}(:[0-9]{1,4})?/?\Z"))
def test_every_vault_gives_a_label(url: str) -> None:
    assert re.fullmatch(r"[a-z0-9A-Z]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?", vault(url))
    assert len(vault(url)) <= 63
    assert len(f"ib-account-{vault(url)}-100000") <= 253


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"accounts": {"maxFailedLogins": 5}}, True),
        ({"accounts": {"allowLive": True}}, False),
        ({"gateway": {"login": {"submit": ".go"}}}, False),
        ({"gateway": {"upstream": "https://other"}}, False),
    ],
)
def test_logins_compare_by_what_the_page_meets(change: dict[str, dict[str, object]], same: bool) -> None:
    base: dict[str, dict[str, Any]] = {
        "accounts": {"secretRef": {"name": "s"}},
        "kafka": {"bootstrapServers": "k:1"},
        "gateway": {},
    }
    changed = {key: {**base[key], **change.get(key, {})} for key in base}
    one, other = msgspec.convert(base, WorkerSpec), msgspec.convert(changed, WorkerSpec)
    assert (one.login_settings == other.login_settings) is same
