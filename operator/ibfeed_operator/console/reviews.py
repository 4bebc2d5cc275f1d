"""The user of a bearer token, and their rights: TokenReview and SubjectAccessReview, with short memories."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import msgspec

from ibfeed_api.kinds import FEED_PLURAL, GROUP, SHARD_PLURAL, SINK_PLURAL
from ibfeed_operator.console.sign_in import Reviewed
from ibfeed_operator.kube.client import KubeClient

REMEMBER_S: Final = 30.0
_MOST: Final = 2000  # answers that are remembered
_AT_ONCE: Final = 4  # reviews that are on their way to the API server
# A user who may list these in a namespace sees what the page makes of them.
_SEEN: Final = (FEED_PLURAL, SHARD_PLURAL, SINK_PLURAL)
EVERYWHERE: Final = ""
K = TypeVar("K")
V = TypeVar("V")


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class _TokenStatus(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _UserInfo = _UserInfo()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _TokenReview(msgspec.Struct, frozen=True):
    status: _TokenStatus = _TokenStatus()


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


class Reviews:
    """The API server's answers, each remembered for half a minute. A token is remembered by its digest alone."""

    def __init__(self, kube: KubeClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._clock = kube, clock
        self._turns: Final = asyncio.Semaphore(_AT_ONCE)
        self._users: Final[dict[str, tuple[float, Reviewed | None]]] = {}
        self._allowed: Final[dict[tuple[str, str, str], tuple[float, bool]]] = {}

    async def user(self, token: str) -> Reviewed | None:
        """Return whose token this is; None: the cluster does not know it. Raises KubeError."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = self._users.get(digest)
        if known is not None and known[0] > self._clock():
            return known[1]
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        async with self._turns:
            answer = await self._kube.review("/apis/authentication.k8s.io/v1/tokenreviews", body)
        status = msgspec.json.decode(answer, type=_TokenReview).status
        one = status.user
        user = (
            Reviewed(username=one.username, uid=one.uid, groups=one.groups, extra=one.extra)
            if status.authenticated and one.username
            else None
        )
        _remember(self._users, digest, (self._clock() + REMEMBER_S, user))
        return user

    async def visible(self, user: Reviewed, namespaces: Iterable[str]) -> frozenset[str]:
        """Return the ``namespaces`` of which the user may list feeds, shards and sinks. Raises KubeError."""
        if await self._may_list(user, EVERYWHERE):
            return frozenset(namespaces)
        return frozenset([namespace for namespace in namespaces if await self._may_list(user, namespace)])

    async def _may_list(self, user: Reviewed, namespace: str) -> bool:
        for resource in _SEEN:
            if not await self._may(user, namespace, resource):
                return False
        return True

    async def _may(self, user: Reviewed, namespace: str, resource: str) -> bool:
        # Groups decide, too: another token of the same user may carry others.
        identity = msgspec.json.encode(user).decode()
        key = (identity, namespace, resource)
        known = self._allowed.get(key)
        if known is not None and known[0] > self._clock():
            return known[1]
        spec = {
            "user": user.username,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {name: list(values) for name, values in user.extra.items()},
            "resourceAttributes": {"group": GROUP, "resource": resource, "verb": "list", "namespace": namespace},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        async with self._turns:
            answer = await self._kube.review("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        allowed = msgspec.json.decode(answer, type=_AccessReview).status.allowed
        _remember(self._allowed, key, (self._clock() + REMEMBER_S, allowed))
        return allowed


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MOST:
        del memory[next(iter(memory))]
