"""Inquiries: has the holder of a Lease that was not renewed fenced itself? Its members know (``failsafe.py``).

They are asked in the background, so that no answer holds a cycle up. A holder that answers, and goes on, is left alone.
If enough members vouch, the Lease says so (``ibfeed.dev/fenced-holder``), and the holder's account and contracts are
free. If too few answer, they are asked again each second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import ANSWER_S, Member, Word, may_take
from ibfeed_api.failsafe_calls import PATH, Kind, Question, ask, read_answer
from ibfeed_api.failsafe_member import FailsafeMember
from ibfeed_api.labels import ANNOTATION_FENCED
from ibfeed_api.lease import TAKEOVER_S
from ibfeed_api.log import Log
from ibfeed_operator.kube.client import KubeClient, collection
from ibfeed_operator.kube.errors import KubeError, NotFoundError
from ibfeed_operator.model.types import AccountLease

_log: Final = Log(__name__)
_AGAIN_S: Final = 1.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=ANSWER_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A Lease in doubt. ``holder``: how to ask the holder itself, if that is known."""

    namespace: str
    path: str
    lease: AccountLease
    holder: Member | None


class Inquiries:
    """The inquiries of one feed, one at a time about a Lease. ``wake`` is called when one has succeeded."""

    def __init__(
        self,
        kube: KubeClient,
        http: aiohttp.ClientSession,
        me: FailsafeMember,
        signer: Signer,
        wake: Callable[[], None],
    ) -> None:
        self._kube: Final = kube
        self._http: Final = http
        self._me: Final = me
        self._signer: Final = signer
        self._wake: Final = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked_at: dict[str, float] = {}
        self._ended: dict[Member, float] = {}  # since when it is known that a member's process has ended

    def refresh(self, cases: Iterable[Case]) -> bool:
        """Inquire about Leases in doubt, each once a second. Return whether there are any."""
        found, now = {case.path: case for case in cases}, asyncio.get_running_loop().time()
        self._asked_at = {path: at for path, at in self._asked_at.items() if path in found}
        named = {member for case in found.values() for member in case.lease.members}
        self._ended = {member: since for member, since in self._ended.items() if member in named}
        for path, case in found.items():
            task = self._tasks.get(path)
            if (task is None or task.done()) and now - self._asked_at.get(path, float("-inf")) >= _AGAIN_S:
                self._asked_at[path] = now
                self._tasks[path] = asyncio.create_task(self._inquire(case), name=f"inquiry {case.lease.name}")
        return bool(found)

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _inquire(self, case: Case) -> None:
        lease = case.lease
        holder = asyncio.create_task(self._ask(case, case.holder)) if case.holder is not None else None
        vouching = {
            name for name in await asyncio.gather(*(self._vouching(case, one) for one in lease.members)) if name
        }
        if holder is not None and (said := await holder) is not None and said.holds:
            _log.info("a holder does not renew its Lease, and goes on", lease=lease.name, holder=lease.holder)
            return
        told = {"namespace": case.namespace, "lease": lease.name, "holder": lease.holder, "vouching": len(vouching)}
        if not may_take([member.name for member in lease.members], vouching, lease.renew_seen_age_s):
            _log.warning("it is not known whether the holder goes on", **told, members=len(lease.members))
            return
        metadata = {"resourceVersion": lease.resource_version, "annotations": {ANNOTATION_FENCED: lease.holder}}
        try:
            await self._kube.patch(case.path, {"metadata": metadata})
        except KubeError as error:  # it was renewed, or another look is needed
            _log.info("a holder could not be given up", **told, error=str(error))
            return
        _log.warning("a holder has fenced itself", **told)
        self._wake()

    async def _vouching(self, case: Case, member: Member) -> str:
        """Return the member's name if it vouches. One that ended TAKEOVER_S ago has said nothing since, so it does."""
        if member.name == self._me.name:
            return member.name if self._me.vouches(case.lease.holder) else ""
        if member not in self._ended:
            word = await self._ask(case, member)
            if word is not None:
                return member.name if word.vouches else ""
            if not await self._has_ended(member):
                return ""
        now = asyncio.get_running_loop().time()
        return member.name if now - self._ended.setdefault(member, now) >= TAKEOVER_S else ""

    async def _has_ended(self, member: Member) -> bool:
        pod, _, uid = member.name.rpartition("_")
        try:
            return _ended(await self._kube.get(f"{collection('v1', 'pods', member.namespace)}/{pod}"), uid)
        except NotFoundError:
            return True
        except (KubeError, msgspec.MsgspecError) as error:
            _log.info("it is not known whether a member has ended", member=member.name, error=str(error))
            return False

    async def _ask(self, case: Case, member: Member) -> Word | None:
        question = Question(Kind.VOUCH, self._me.name, case.namespace, case.lease.name, case.lease.holder)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, CallRefusedError, ValueError):
            async with self._http.post(
                f"http://{member.address}{PATH}",
                data=ask(self._signer, member, question),
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                if response.status == 200:
                    return read_answer(await response.text(), member, question, Word)
        return None


class _SeenMeta(msgspec.Struct):
    uid: str


class _SeenState(msgspec.Struct):
    running: dict[str, Any] | None = None


class _SeenContainer(msgspec.Struct):
    state: _SeenState = msgspec.field(default_factory=_SeenState)


class _SeenStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    container_statuses: tuple[_SeenContainer, ...] | None = None


class _SeenPod(msgspec.Struct):
    metadata: _SeenMeta
    status: _SeenStatus = msgspec.field(default_factory=_SeenStatus)


def _ended(raw: bytes, uid: str) -> bool:
    """Whether the pod of this uid has ended, by what the API server has under its name."""
    pod = msgspec.json.decode(raw, type=_SeenPod)
    containers = pod.status.container_statuses or ()
    stopped = bool(containers) and not any(container.state.running is not None for container in containers)
    return pod.metadata.uid != uid or pod.status.phase in ("Failed", "Succeeded") or stopped
