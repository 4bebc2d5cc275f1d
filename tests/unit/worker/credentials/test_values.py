"""Credentials hide themselves, whatever tries to write them down."""

from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from ibfeed_api.feed import Accounts, KeyVault, SecretRef
from ibfeed_api.reasons import Reason
from ibfeed_worker.credentials import Credentials, CredentialsError, source_of
from ibfeed_worker.credentials.keyvault import KeyVaultSource
from ibfeed_worker.credentials.secret import KubernetesSecret

CREDENTIALS = Credentials("paperuser3", "s3cr3t")


def test_nothing_but_the_attributes_shows_them() -> None:
    assert (CREDENTIALS.username, CREDENTIALS.password) == ("paperuser3", "s3cr3t")
    for text in (repr(CREDENTIALS), str(CREDENTIALS), f"{CREDENTIALS}", f"{[CREDENTIALS]}"):
        assert "paperuser3" not in text and "s3cr3t" not in text


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, json.dumps, msgspec.json.encode, msgspec.to_builtins, vars])
def test_no_encoder_takes_them(write: object) -> None:
    assert callable(write)
    with pytest.raises(TypeError):
        write(CREDENTIALS)


def test_an_error_survives_pickling_with_its_meaning() -> None:
    error = pickle.loads(pickle.dumps(CredentialsError(Reason.VAULT_DENIED, "assign the role", retryable=True)))
    assert (error.reason, error.message, error.retryable) == (Reason.VAULT_DENIED, "assign the role", True)


def test_the_spec_chooses_the_source() -> None:
    def read_secret(_name: str) -> dict[str, bytes]:
        return {}

    vault = Accounts(key_vault=KeyVault(url="https://example.vault.azure.net"))
    secret = Accounts(secret_ref=SecretRef(name="ib-paper-accounts"))
    of_vault = source_of(vault, namespace="feeds", read_secret=read_secret, extra_ca=None)
    of_secret = source_of(secret, namespace="feeds", read_secret=read_secret, extra_ca=None)
    assert isinstance(of_vault, KeyVaultSource) and isinstance(of_secret, KubernetesSecret)
