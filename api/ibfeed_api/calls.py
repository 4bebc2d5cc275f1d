"""Signed calls: from the operator to a worker, and between the members of a failsafe (``failsafe_calls.py``).

Operator and workers hold an Ed25519 key each, for their life time. The operator publishes its public half in
``IbShard.spec.operatorKey``, which only the operator may write; a worker publishes its own in ``IbShard.status.key``,
which only the worker may write. So no shared secret has to be created, mounted or rotated. A worker believes a caller
for the same reason for which it believes its shard.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import jwt
import msgspec
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ibfeed_api.instrument import Instrument, Product

_ALGORITHM: Final = "EdDSA"
_LIFETIME_S: Final = 30
_LEEWAY_S: Final = 10  # the clocks of two nodes differ


class CallRefusedError(Exception):
    """The call's signature, audience, path or age is wrong. The text is safe to send back."""


class Signer:
    """Signs calls. One per operator process."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.public_key: Final = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def token(self, *, shard: str, path: str) -> str:
        """Return a bearer token for one path of one shard's worker, good for 30 s. ``shard`` is ``namespace/name``."""
        now = int(time.time())
        return self.seal({"sub": path, "iat": now, "exp": now + _LIFETIME_S}, audience=shard)

    def seal(self, claims: Mapping[str, Any], *, audience: str) -> str:
        """Return signed claims for one reader. Everybody can read them."""
        return jwt.encode({**claims, "aud": audience}, self._key, algorithm=_ALGORITHM)


def verify(token: str, *, public_key: str | None, shard: str, path: str) -> None:
    """Check that the owner of ``public_key`` signed ``token`` for this shard and path. Raises CallRefusedError."""
    if not public_key:
        raise CallRefusedError("this worker's IbShard names no operator key yet")
    if unseal(token, public_key=public_key, audience=shard, required=("exp", "sub"))["sub"] != path:
        raise CallRefusedError("signed for another path")


def unseal(token: str, *, public_key: str, audience: str, required: Sequence[str] = ("sub",)) -> dict[str, Any]:
    """Return the claims that the owner of ``public_key`` signed for this reader. Raises CallRefusedError."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=audience,
            leeway=_LEEWAY_S,
            options={"require": list(required)},
        )
    except (jwt.InvalidTokenError, InvalidKey, ValueError) as error:
        raise CallRefusedError(f"signature not accepted: {type(error).__name__}") from None
    return claims


def signer_named(token: str) -> str:
    """Return the name that a token's signer gives itself (``iss``); empty if there is none. Nothing is checked."""
    try:
        name = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.InvalidTokenError:
        return ""
    return name if isinstance(name, str) else ""


class ResolvedContract(Instrument, frozen=True, kw_only=True):
    """One contract of a root, in the answer to ``GET /v1/universe/{root}?months=N&since=YYYYMMDD``."""

    exchange: str
    contract_month: str
    last_trading_day: str


class ResolvedProduct(msgspec.Struct, frozen=True, rename="camel"):
    """One product of a root: how many contracts IB lists of it, and the symbol of the nearest."""

    exchange: str
    trading_class: str
    multiplier: str
    currency: str
    months: int
    example: str

    @property
    def product(self) -> Product:
        return Product(self.exchange, self.trading_class, self.multiplier, self.currency)


class ResolvedRoot(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to ``GET /v1/universe/{root}?months=N&since=YYYYMMDD``.

    ``contracts`` are those that trade on that day or later: of each product the N nearest by expiry, nearest first.
    The day is the caller's, so that both agree on what has expired. ``exchange``, ``tradingClass``, ``multiplier`` and
    ``currency`` in the query leave other products out.

    ``products`` are all that IB lists of the root, asked for or not. ``unusable`` has a sentence for each contract that
    would be among the nearest if IB told its month. ``unread`` counts contracts that IB was not asked about yet;
    another product may be among them.

    404 with ``{"error": …}``: IB does not know the root. 503: this worker can't ask now. 502: IB's answer makes no
    sense. 401: the call's signature is refused.
    """

    root: str
    contracts: tuple[ResolvedContract, ...]
    products: tuple[ResolvedProduct, ...] = ()
    unusable: tuple[str, ...] = ()
    unread: int = 0


def universe_path(root: str) -> str:
    return f"/v1/universe/{quote(root, safe='')}"
