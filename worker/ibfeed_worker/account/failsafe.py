"""Failsafe in a worker: it asks members when it can't renew its Lease, and answers those that name it a member.

``ibfeed_api/failsafe.py`` has the rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Final

import httpx

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import ANSWER_S, Member, Outcome, Renewal
from ibfeed_api.failsafe_calls import PATH, Kind, Question, ask, read_answer
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_api.log import Log
from ibfeed_api.shard import ShardSpec
from ibfeed_worker.account import lease as rules
from ibfeed_worker.account.lease import Lease, LeaseStore
from ibfeed_worker.kube.client import ConflictError, ForbiddenError, KubeError, NotFoundError

_log: Final = Log(__name__)


class MemberCalls:
    """Asks members. ``members`` are those that the shard names now, in ``namespace``."""

    def __init__(self, me: str, namespace: str, signer: Signer, named: Callable[[], tuple[Member, ...]]) -> None:
        self._me: Final = me
        self._namespace: Final = namespace
        self._signer: Final = signer
        self._named: Final = named
        self._http: Final = httpx.AsyncClient(timeout=ANSWER_S, trust_env=False)

    @property
    def members(self) -> tuple[Member, ...]:
        return self._named()

    async def ask(self, lease: Lease, members: Collection[Member]) -> Mapping[str, Renewal]:
        """Ask all members at once to renew a Lease. Return, by name, the answers that came within ANSWER_S."""
        answers = await asyncio.gather(*(self._ask(lease, member) for member in members))
        return {member.name: found for member, found in zip(members, answers, strict=True) if found is not None}

    async def _ask(self, lease: Lease, member: Member) -> Renewal | None:
        question = Question(Kind.RENEW, self._me, self._namespace, lease.name, self._me, lease.resource_version)
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._http.post(
                    f"http://{member.address}{PATH}", content=ask(self._signer, member, question)
                )
            response.raise_for_status()
            return read_answer(response.text, member, question, Renewal)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, CallRefusedError) as error:
            _log.debug("a member did not answer", member=member.name, error=f"{type(error).__name__}: {error}")
            return None


async def renew_for(store: LeaseStore, question: Question) -> Renewal:
    """Renew another worker's Lease, if it is still that worker's."""
    seen = Lease(question.lease, question.resource_version, question.holder)
    try:
        try:
            renewed = rules.parse(await store.patch_lease(seen.name, rules.renew_patch(seen, datetime.now(UTC))))
        except ConflictError:
            seen = rules.parse(await store.read_lease(seen.name))
            if seen.holder != question.holder or seen.fenced:
                return Renewal(Outcome.LOST, f"Lease {seen.name} is not {question.holder}'s any more")
            renewed = rules.parse(await store.patch_lease(seen.name, rules.renew_patch(seen, datetime.now(UTC))))
    except NotFoundError:
        return Renewal(Outcome.LOST, f"Lease {seen.name} was deleted")
    except ForbiddenError as error:
        return Renewal(Outcome.UNABLE, str(error))
    except KubeError as error:
        return Renewal(Outcome.AWAY, str(error))
    return Renewal(Outcome.RENEWED, resource_version=renewed.resource_version)


class Failsafe:
    """Both parts of one worker.

    Args:
        me: its name, ``<pod name>_<pod uid>``.
        spec: returns its shard's spec, or None.
        fence_is_open: whether it may use its account.
    """

    def __init__(
        self,
        store: LeaseStore,
        *,
        me: str,
        namespace: str,
        spec: Callable[[], ShardSpec | None],
        fence_is_open: Callable[[], bool],
    ) -> None:
        signer = Signer()

        def members() -> tuple[Member, ...]:
            found = spec()
            return found.members if found is not None else ()

        def key_of(name: str) -> str | None:
            """An operator that is no member yet asks with the key that the shard names."""
            found = spec()
            keys = {member.name: member.key for member in members()}
            return keys.get(name) or (found.operator_key if found is not None else None)

        def holds(lease: str) -> bool:
            found = spec()
            return found is not None and found.account is not None and found.account.lease == lease and fence_is_open()

        self.key: Final = signer.public_key
        self.calls: Final = MemberCalls(me, namespace, signer, members)
        self.member: Final = FailsafeMember(
            me, signer, renew=lambda question: renew_for(store, question), key_of=key_of, holds=holds
        )
