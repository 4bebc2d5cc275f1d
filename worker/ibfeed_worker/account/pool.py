"""Tell the other workers of an account source how the login page treats us, and hear how it treats them.

It all stands in the Lease of the source's logins. Without that Lease, or without an answer of the API server, each
worker has only itself to go by, as if its source had no other account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ibfeed_api.labels import ANNOTATION_PAGE_TROUBLE
from ibfeed_api.logins import PageTrouble, parse_troubles, written
from ibfeed_api.reasons import Reason
from ibfeed_worker.account import page_trouble
from ibfeed_worker.account.leaseholder import LeaseStore
from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError
from ibfeed_worker.runtime.backoff import Backoff
from ibfeed_worker.runtime.log import Log

LOOK_EVERY_S: Final = 20.0
_TRIES: Final = 6
_TURN_S: Final = 5.0  # between workers that may all probe, by how often each has tried of late
_log: Final = Log(__name__)


class Pool:
    """``settings``: of the login; what workers with others have met says nothing to us.

    ``trouble`` is what was last heard to keep logins from going on, None if nothing.
    """

    def __init__(self, store: LeaseStore, lease: str, settings: str) -> None:
        self.trouble: PageTrouble | None = None
        self._probing = False
        self._store = store
        self._lease = lease
        self._settings = settings

    async def failed(self, reason: Reason, text: str, account: int) -> bool:
        """Tell of a failed login. Whether the page fails for several accounts alike, so that it is not this one."""
        self._probing = False
        if reason not in page_trouble.ALIKE:
            return False
        found = await self._change(
            lambda known, now: page_trouble.noted(known, reason, text, account, now, self._settings), "a failed login"
        )
        return page_trouble.of_account(found, reason, account)

    async def passed(self, account: int, *, sessions: bool = False) -> None:
        """Tell that a login has passed; ``sessions``: and that its session streams."""
        self._probing = False
        await self._change(
            lambda known, now: page_trouble.passed(known, account, now, sessions=sessions), "a login that passed"
        )

    async def look(self) -> PageTrouble | None:
        """The trouble that keeps logins from going on, as told by now; without an answer, as heard last."""
        try:
            self.hear(await self._store.read_lease(self._lease))
        except KubeError as error:
            if not isinstance(error, NotFoundError):
                _log.warning("it is not known how the login page treats others", lease=self._lease, error=str(error))
        return self.trouble

    def hear(self, lease: dict[str, Any]) -> None:
        """Take over what a Lease says that somebody has just read."""
        self.trouble = page_trouble.meant(_troubles(lease), self._settings)

    async def until_it_is_our_turn(
        self, account: int, tries: int, may_probe: Callable[[datetime], bool], tell: Callable[[str], None]
    ) -> None:
        """Return when a login may be tried: nothing is wrong with the page, or this account is to probe it.

        ``tries``: how often this account has tried of late; ``may_probe``: whether it may once more. ``tell`` hears
        what is being waited for.
        """
        self._probing = False
        while (trouble := await self.look()) is not None:
            now = datetime.now(UTC)
            at = page_trouble.probe_at(trouble, account) if may_probe(now) else None
            behind = timedelta(seconds=_TURN_S * tries)
            if at is not None and at + behind <= now and await self._take_probe(trouble):
                self._probing = self.trouble is not None
                _log.info("this account probes the login page", reason=trouble.reason, account=account)
                return
            tell(told(trouble, account))
            left = (at + behind - now).total_seconds() if at is not None else LOOK_EVERY_S
            await asyncio.sleep(Backoff(min(max(left, 1.0), LOOK_EVERY_S), LOOK_EVERY_S).next())

    def insist(self) -> None:
        """The next login is tried whatever the page does to others: a person has corrected something."""
        self._probing = True

    async def may_submit(self) -> bool:
        """Whether a form may be sent now; asked just before that, for logins are under way side by side."""
        return await self.look() is None or self._probing

    async def _take_probe(self, trouble: PageTrouble) -> bool:
        """Whether we are the one that probes now: by compare-and-swap, so that it is one."""
        try:
            lease = await self._store.read_lease(self._lease)
            known = _troubles(lease)
            mine = page_trouble.meant(known, self._settings)
            if mine is None or mine != trouble:
                return mine is None
            await self._write(lease, page_trouble.probing(known, mine, datetime.now(UTC)))
        except KubeError:
            return False  # somebody else was faster, or the next look tells more
        return True

    async def _change(
        self, change: Callable[[page_trouble.Troubles, datetime], page_trouble.Troubles], what: str
    ) -> page_trouble.Troubles:
        """Write what a change makes of the Lease's troubles; returns them, or as they were if it can't be written."""
        pause, why = Backoff(0.1, 2.0), ""
        known: page_trouble.Troubles = ()
        for _ in range(_TRIES):
            try:
                lease = await self._store.read_lease(self._lease)
                known = _troubles(lease)
                changed = change(known, datetime.now(UTC))
                if changed != known:
                    lease = await self._write(lease, changed)
                self.hear(lease)
                return changed
            except NotFoundError:
                return ()
            except ConflictError:
                why = "others were faster"
            except KubeError as error:
                why = str(error)
            await asyncio.sleep(pause.next())
        _log.warning("others were not told of " + what, lease=self._lease, why=why)
        return known

    async def _write(self, lease: dict[str, Any], troubles: page_trouble.Troubles) -> dict[str, Any]:
        annotations = {ANNOTATION_PAGE_TROUBLE: written(troubles) or None}
        version = lease["metadata"]["resourceVersion"]
        return await self._store.patch_lease(
            self._lease, {"metadata": {"resourceVersion": version, "annotations": annotations}}
        )


def told(trouble: PageTrouble, account: int) -> str:
    """For a person: what the page does, and what is waited for."""
    at = page_trouble.probe_at(trouble, account) or trouble.next_probe
    when = f"at {at:%H:%M:%S} UTC one of them tries again" if at else "none is tried again until a person asks for it"
    return (
        f'IB\'s login page fails for several accounts alike ({trouble.reason}: "{trouble.text}", accounts'
        f" {', '.join(map(str, sorted(trouble.accounts)))}, since {trouble.since:%Y-%m-%d %H:%M} UTC): no other account"
        f" is used meanwhile, and none is parked; {when}"
    )


def _troubles(lease: dict[str, Any]) -> page_trouble.Troubles:
    return parse_troubles((lease["metadata"].get("annotations") or {}).get(ANNOTATION_PAGE_TROUBLE, ""))
