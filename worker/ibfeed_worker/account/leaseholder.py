"""The life of an account's Lease in this worker: take it, keep it, annotate it, give it back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from ibfeed_api.backoff import Backoff
from ibfeed_api.failsafe import LONGEST_S, Member, Outcome, Renewal, may_go_on
from ibfeed_api.lease import RENEW_S, SELF_FENCE_S
from ibfeed_api.log import Log
from ibfeed_worker.account import lease as rules
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.lease import Action, Lease, LeaseStore, Observed
from ibfeed_worker.account.login_record import LoginRecord, as_annotations, parse
from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError
from ibfeed_worker.runtime.tasks import cancel

_LOOK_EVERY: Final = 1.0  # seconds between looks at a Lease that another worker holds
_log = Log(__name__)


class MembersToAsk(Protocol):
    """Members to ask when the Lease can't be renewed, which is ``MemberCalls``."""

    @property
    def members(self) -> tuple[Member, ...]: ...

    async def ask(self, lease: Lease, members: Collection[Member]) -> Mapping[str, Renewal]: ...


class Leaseholder:
    """The holder of an account's Lease. ``lost`` is set, for good, once we may not use the account any more.

    The fence is open for as long as we may. ``goes_on``: nobody can renew it, so it is ours without renewals.

    Args:
        taken: when the request for the Lease was sent, by the loop's clock.
        asked: the same moment by the fence's clock.
        failsafe: asked when a renewal fails.
        on_end: called when the task that renews the Lease ends.
    """

    def __init__(
        self,
        store: LeaseStore,
        lease: Lease,
        me: str,
        fence: Fence,
        *,
        taken: float,
        asked: float,
        failsafe: MembersToAsk,
        on_end: Callable[[asyncio.Task[None]], None] = lambda _: None,
    ) -> None:
        self.lost: Final = asyncio.Event()
        self._store = store
        self._lease = lease
        self._me = me
        self._fence = fence
        self._writing = asyncio.Lock()
        self._noted: LoginRecord | None = None  # written with the next write of the Lease
        self._loop = asyncio.get_running_loop()
        self._failsafe = failsafe
        self._named = [lease.members]  # more while it is not known which of them a renewal wrote
        self._renewed_at = taken
        self.goes_on = False  # without renewals
        self.why_lost = ""
        self._deadline = self._loop.call_at(taken + SELF_FENCE_S, self._expire)
        fence.extend(asked)
        self._keeping = asyncio.create_task(self._keep(), name="lease")
        self._keeping.add_done_callback(on_end)

    @property
    def record(self) -> LoginRecord:
        return self._noted or parse(self._lease.annotations)

    def note(self, record: LoginRecord) -> None:
        """Have the login record written with the next renewal or the release.

        For a record whose loss does little harm.
        """
        self._noted = record

    async def write(self, record: LoginRecord) -> None:
        """Write the login record.

        It tries until the record stands or the Lease is lost, for the count must not be forgotten.
        """
        pause = Backoff(0.3, 2.0)
        self._noted = record
        while not self.lost.is_set():
            async with self._writing:
                if self._noted is not record:
                    return  # a renewal has written it, or a later record is in its place
                try:
                    await self._patch(lambda noted: rules.annotate(self._lease, noted))
                    return
                except ConflictError:
                    await self._look_again()
                except KubeError as error:
                    _log.warning("login record not written yet", lease=self._lease.name, error=str(error))
            await asyncio.sleep(pause.next())

    async def release(self) -> None:
        """Free the account for the next worker. Raises KubeError; then the account is free TAKEOVER_S later."""
        self._deadline.cancel()
        await cancel(self._keeping)
        if self.lost.is_set():
            return
        self._fence.stand_down()
        try:
            await self._patch(lambda noted: rules.release_patch(self._lease, datetime.now(UTC), noted))
        except ConflictError:
            await self._look_again()
            if not self.lost.is_set():
                await self._patch(lambda noted: rules.release_patch(self._lease, datetime.now(UTC), noted))
        self.why_lost = "released"
        self.lost.set()

    async def _keep(self) -> None:
        pause = Backoff(0.5, 1.0)  # with a call and a question it is well below SELF_FENCE_S
        delay = RENEW_S
        while not self.lost.is_set():
            await asyncio.sleep(delay)
            delay = await self._renew(pause)

    async def _renew(self, pause: Backoff) -> float:
        """Renew once; return the seconds until the next try."""
        async with self._writing:
            sent, asked = self._loop.time(), self._fence.now()
            try:
                await self._patch(lambda noted: rules.renew_patch(self._lease, datetime.now(UTC), noted))
            except ConflictError:
                await self._look_again()
                return pause.next()
            except NotFoundError:
                self._lose(f"Lease {self._lease.name} was deleted")
                return 0.0
            except KubeError as error:
                if not self.goes_on:
                    _log.warning("lease not renewed", lease=self._lease.name, error=str(error))
                await self._ask_members(str(error))
                return pause.next()
        if self.lost.is_set():
            return 0.0  # too late: a lost Lease stays lost
        # Counted from the moment of sending: the server may have written it at once and answered slowly.
        self._extend(sent, asked, renewed=True)
        pause.reset()
        return max(0.0, sent + RENEW_S - self._loop.time())

    async def _ask_members(self, error: str) -> None:
        """Have a member renew the Lease, or go on if nobody can."""
        sent, asked = self._loop.time(), self._fence.now()
        answers = await self._failsafe.ask(self._lease, sorted({member for named in self._named for member in named}))
        if self.lost.is_set():
            return
        outcomes = {name: renewal.outcome for name, renewal in answers.items()}
        renewed = next((one for one in answers.values() if one.outcome is Outcome.RENEWED), None)
        lost = next((one for one in answers.values() if one.outcome is Outcome.LOST), None)
        if renewed is not None:
            self._lease = replace(self._lease, resource_version=renewed.resource_version)
            self._extend(sent, asked, renewed=True)
        elif lost is not None:
            self._lose(lost.text)
        elif self._nobody_can(outcomes) and sent - self._renewed_at < LONGEST_S:
            if not self.goes_on:
                _log.warning("no member reaches the API server: going on", members=len(outcomes), error=error)
            self._extend(sent, asked, renewed=False)

    def _nobody_can(self, outcomes: Mapping[str, Outcome]) -> bool:
        away = [name for name, outcome in outcomes.items() if outcome is Outcome.AWAY]
        return may_go_on([frozenset(member.name for member in named) for named in self._named], away)

    def _extend(self, sent: float, asked: float, *, renewed: bool) -> None:
        """The Lease is ours for SELF_FENCE_S more; ``sent`` and ``asked`` as for ``taken`` and ``asked``."""
        self._deadline.cancel()
        self._deadline = self._loop.call_at(sent + SELF_FENCE_S, self._expire)
        self._fence.extend(asked)
        if renewed:
            self._renewed_at = sent
            if self.goes_on:
                _log.info("lease renewed again", lease=self._lease.name)
        self.goes_on = not renewed

    async def _patch(self, body: Callable[[Mapping[str, str | None]], dict[str, Any]]) -> None:
        """Patch the Lease. ``body`` makes the patch from the annotations that are to be written with it."""
        noted, members = self._noted, self._failsafe.members
        annotations = dict(as_annotations(noted)) if noted is not None else {}
        if self._named != [members]:
            annotations |= rules.naming(members)
            if members not in self._named:
                self._named = [*self._named, members]
        self._lease = rules.parse(await self._store.patch_lease(self._lease.name, body(annotations)))
        self._named = [self._lease.members]
        if self._noted is noted:
            self._noted = None

    async def _look_again(self) -> None:
        try:
            seen = rules.parse(await self._store.read_lease(self._lease.name))
        except NotFoundError:
            self._lose(f"Lease {self._lease.name} was deleted")
            return
        except KubeError as error:
            _log.warning("lease not read", lease=self._lease.name, error=str(error))
            return
        if seen.holder != self._me:
            state = f"is held by {seen.holder}" if seen.holder else "has no holder"
            self._lose(f"Lease {seen.name} {state} now")
        elif seen.fenced:
            self._lose(f"Lease {seen.name} was not renewed in time: the operator gave it up")
        else:
            self._lease = seen
            self._named = [seen.members]

    def _expire(self) -> None:
        self._lose(f"Lease {self._lease.name} could not be renewed for {SELF_FENCE_S:g} s")

    def _lose(self, why: str) -> None:
        if not self.lost.is_set():
            self.why_lost = why
            self.lost.set()
            self._fence.shut()


async def acquire_lease(
    store: LeaseStore,
    name: str,
    me: str,
    fence: Fence,
    on_wait: Callable[[str], None],
    failsafe: MembersToAsk,
    on_end: Callable[[asyncio.Task[None]], None] = lambda _: None,
) -> Leaseholder:
    """Wait until the account is free and take it.

    ``on_wait`` is called with the reason for waiting when that changes.
    """
    loop = asyncio.get_running_loop()
    observed: Observed | None = None
    pause = Backoff(0.5, 5.0)
    told = ""
    while True:
        sent = loop.time()
        try:
            lease = rules.parse(await store.read_lease(name))
            observed = rules.observe(observed, lease, loop.time())
            if rules.decide(lease, observed, loop.time(), me) is not Action.WAIT:
                sent, asked = loop.time(), fence.now()
                patch = rules.acquire_patch(lease, me, datetime.now(UTC), failsafe.members)
                taken = rules.parse(await store.patch_lease(name, patch))
                _log.info("account taken", lease=name, holder=me, before=lease.holder)
                return Leaseholder(store, taken, me, fence, taken=sent, asked=asked, failsafe=failsafe, on_end=on_end)
            why, delay = f"account is held by {lease.holder}", _LOOK_EVERY
            pause.reset()
        except ConflictError:
            why, delay = told, pause.next()
        except NotFoundError:
            why, delay = f"Lease {name} is not there yet; the operator creates it", pause.next()
        except KubeError as error:
            observed = None  # its holder could not renew it either: it is given the whole time again
            why, delay = f"Lease {name} can't be read: {error}", pause.next()
        if why != told:
            on_wait(why)
            told = why
        await asyncio.sleep(delay)


async def read_record(store: LeaseStore, name: str) -> LoginRecord:
    """Return the login record of an account that we do not hold. Raises KubeError."""
    found: Mapping[str, Any] = await store.read_lease(name)
    return parse(rules.parse(found).annotations)
