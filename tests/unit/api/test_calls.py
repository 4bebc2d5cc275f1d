from __future__ import annotations

import time

import jwt
import pytest

from ibfeed_api.calls import CallRefusedError, Signer, verify

SHARD = "default/energy-0"
PATH = "/v1/universe/CL"


def test_a_call_signed_by_the_published_key_is_believed() -> None:
    signer = Signer()
    verify(signer.token(shard=SHARD, path=PATH), public_key=signer.public_key, shard=SHARD, path=PATH)


@pytest.mark.parametrize(
    ("shard", "path", "said"),
    [("default/energy-1", PATH, "InvalidAudience"), (SHARD, "/v1/universe/NG", "another path")],
)
def test_a_call_is_good_for_one_shard_and_one_path(shard: str, path: str, said: str) -> None:
    signer = Signer()
    with pytest.raises(CallRefusedError, match=said):
        verify(signer.token(shard=SHARD, path=PATH), public_key=signer.public_key, shard=shard, path=path)


def test_somebody_elses_key_is_refused() -> None:
    with pytest.raises(CallRefusedError, match="InvalidSignature"):
        verify(Signer().token(shard=SHARD, path=PATH), public_key=Signer().public_key, shard=SHARD, path=PATH)


def test_without_a_published_key_nobody_is_believed() -> None:
    with pytest.raises(CallRefusedError, match="names no operator key"):
        verify(Signer().token(shard=SHARD, path=PATH), public_key=None, shard=SHARD, path=PATH)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", jwt.encode({"aud": SHARD, "sub": PATH}, "k" * 32, "HS256")])
def test_garbage_and_other_algorithms_are_refused(token: str) -> None:
    with pytest.raises(CallRefusedError):
        verify(token, public_key=Signer().public_key, shard=SHARD, path=PATH)


def test_an_old_call_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    token = signer.token(shard=SHARD, path=PATH)
    monkeypatch.undo()
    with pytest.raises(CallRefusedError, match="Expired"):
        verify(token, public_key=signer.public_key, shard=SHARD, path=PATH)
