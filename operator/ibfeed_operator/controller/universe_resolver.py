"""Asking workers which contracts a root has. One per feed; asks in the background, so that no answer holds a cycle up.

The question goes to a streaming worker, since only it has a session with IB. It is signed: the public key stands in
that worker's ``IbShard.spec.operatorKey``, which only the operator may write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from ibfeed_api.backoff import delay
from ibfeed_api.calls import ResolvedRoot, Signer, universe_path
from ibfeed_api.feed import FILTERS, Root
from ibfeed_api.log import Log
from ibfeed_api.worker_pod import WORKER_PORT, address_of
from ibfeed_operator.controller.snapshot import shards_path
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.model.types import Contract, Feed, RootProblemKind
from ibfeed_operator.planning.universe import Answer, alive_by_root

_log: Final = Log(__name__)

REFRESH_S: Final = 6 * 3600.0  # beside the new trading day
AHEAD: Final = 1  # contracts asked for beyond those streamed: the next one's successor
ASK_AGAIN_UNKNOWN_S: Final = 600.0  # IB lists new roots now and then; a typing error is mended by a change of the spec
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 60.0
_REFUSED_WAITS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)  # until the worker has seen the key in its shard
# The worker asks IB once per contract, 10 requests/s at most.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30.0, sock_connect=3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverCandidate:
    """A streaming worker that can be asked. ``operator_key``: what its shard's spec holds now."""

    shard: str
    ip: str
    operator_key: str | None


@dataclass(slots=True)
class _Asked:
    answer: Answer
    at: float
    day: str
    failures: int = 0

    def due(self, months: int, *, whole: bool, doubtful: bool, today: str, now: float) -> bool:
        """``whole``: all contracts wanted are known. ``doubtful``: the answer was not believed, or is not complete."""
        age = now - self.at
        if self.answer.months != months and not whole:
            return True
        doubtful = doubtful or bool(self.answer.unread or self.answer.unusable)
        if doubtful and age >= _LAST_RETRY_S:
            return True
        if self.answer.problem is RootProblemKind.UNKNOWN:
            return age >= ASK_AGAIN_UNKNOWN_S
        if self.answer.problem is not None:
            return age >= delay(_FIRST_RETRY_S, _LAST_RETRY_S, self.failures)
        return self.day != today or age >= REFRESH_S


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    phrase: str
    body: bytes


class UniverseResolver:
    """Keeps the latest answer for each root of one feed. ``wake`` is called when a new one has come."""

    def __init__(self, kube: KubeClient, http: aiohttp.ClientSession, signer: Signer, wake: Callable[[], None]) -> None:
        self._kube = kube
        self._http = http
        self._signer = signer
        self._wake = wake
        self._asked: dict[str, _Asked] = {}
        self._first_sight: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def answers(self) -> Mapping[str, Answer]:
        return {root: asked.answer for root, asked in self._asked.items()}

    def refresh(
        self,
        feed: Feed,
        known: Mapping[int, Contract],
        candidates: Sequence[ResolverCandidate],
        *,
        doubtful: Collection[str],
        today: str,
    ) -> None:
        """Start asking if an answer is due, a worker can be asked, and none is being asked now.

        ``doubtful``: roots (``label``) whose latest answer was not believed. ``today``: the trading day, YYYYMMDD.
        """
        labels = {root.label for root in feed.spec.roots}
        for gone in self._asked.keys() - labels:
            del self._asked[gone]
        if not candidates or (self._task is not None and not self._task.done()):
            return
        due = list(self._due(feed, known, doubtful, today=today, now=time.monotonic()))
        if due:
            self._task = asyncio.create_task(self._ask_all(feed, due, candidates, today))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _due(
        self, feed: Feed, known: Mapping[int, Contract], doubtful: Collection[str], *, today: str, now: float
    ) -> Iterable[Root]:
        alive = alive_by_root(feed.spec.roots, known, today=today)
        for root in feed.spec.roots:
            contracts, months = alive[root.label], _months(feed, root)
            whole = len(contracts) >= feed.spec.front_months_of(root)
            asked = self._asked.get(root.label)
            if asked is None:
                # All that the spec wants is known from before this operator's life: asking is a matter of hours, unless
                # a successor is wanted at the end of this day.
                since = self._first_sight.setdefault(root.label, now)
                if not whole or now - since >= REFRESH_S or contracts[0].last_trading_day <= today:
                    yield root
            elif asked.due(months, whole=whole, doubtful=root.label in doubtful, today=today, now=now):
                yield root

    async def _ask_all(
        self, feed: Feed, roots: Sequence[Root], candidates: Sequence[ResolverCandidate], today: str
    ) -> None:
        for root in roots:
            before = self._asked.get(root.label)
            failures = before.failures if before is not None else 0
            candidate = candidates[failures % len(candidates)]  # another one, if the last one could not say
            answer = await self._ask(feed, root, _months(feed, root), candidate, today)
            failed = answer.problem is RootProblemKind.FAILED
            self._asked[root.label] = _Asked(answer, time.monotonic(), today, failures + 1 if failed else 0)
            self._wake()

    async def _ask(self, feed: Feed, wanted: Root, months: int, candidate: ResolverCandidate, today: str) -> Answer:
        root = wanted.label

        def trouble(kind: RootProblemKind, message: str) -> Answer:
            _log.warning(
                "a root is not resolved",
                namespace=feed.namespace,
                feed=feed.name,
                root=root,
                reason=str(kind),
                message=message,
            )
            return Answer(root=root, months=months, problem=kind, message=message)

        try:
            await self._publish_key(feed, candidate)
            reply = await self._call(feed, wanted, months, candidate, today)
        except KubeError as error:
            return trouble(
                RootProblemKind.FAILED, f"The operator's key could not be given to {candidate.shard}: {error}"
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            text = str(error) or type(error).__name__
            return trouble(RootProblemKind.FAILED, f"Worker {candidate.shard} could not be asked for {root}: {text}")
        if reply.status == 404:
            return trouble(RootProblemKind.UNKNOWN, "")
        if reply.status != 200:
            return trouble(
                RootProblemKind.FAILED,
                f"Worker {candidate.shard} could not resolve {root}: {reply.status} {_reason(reply)}",
            )
        try:
            resolved = msgspec.json.decode(reply.body, type=ResolvedRoot)
        except msgspec.MsgspecError as error:
            return trouble(RootProblemKind.FAILED, f"Worker {candidate.shard} answered nonsense for {root}: {error}")
        if not resolved.contracts and not resolved.products:
            return trouble(RootProblemKind.FAILED, f"IB lists no contract of {root} at present.")
        return Answer(
            root=root,
            months=months,
            contracts=resolved.contracts,
            products=resolved.products,
            unusable=resolved.unusable,
            unread=resolved.unread,
        )

    async def _publish_key(self, feed: Feed, candidate: ResolverCandidate) -> None:
        if candidate.operator_key != self._signer.public_key:
            path = f"{shards_path(feed.namespace)}/{candidate.shard}"
            await self._kube.patch(path, {"spec": {"operatorKey": self._signer.public_key}})

    async def _call(self, feed: Feed, wanted: Root, months: int, candidate: ResolverCandidate, today: str) -> _Reply:
        path = universe_path(wanted.symbol)
        filters = {name: value for name, value in zip(FILTERS, wanted.product, strict=True) if value}
        waits = iter(_REFUSED_WAITS_S)
        while True:
            token = self._signer.token(shard=f"{feed.namespace}/{candidate.shard}", path=path)
            async with self._http.get(
                f"http://{address_of(candidate.ip, WORKER_PORT)}{path}",
                params={"months": months, "since": today, **filters},
                headers={"Authorization": f"Bearer {token}"},
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                reply = _Reply(response.status, response.reason or "", await response.read())
            wait = next(waits, None)
            if reply.status != 401 or wait is None:
                return reply
            await asyncio.sleep(wait)


def _months(feed: Feed, root: Root) -> int:
    return feed.spec.front_months_of(root) + AHEAD


class _Refusal(msgspec.Struct):
    error: str = ""


def _reason(reply: _Reply) -> str:
    try:
        return msgspec.json.decode(reply.body, type=_Refusal).error[:200]
    except msgspec.MsgspecError:
        return reply.phrase
