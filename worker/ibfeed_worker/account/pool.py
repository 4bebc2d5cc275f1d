"""The exchange about the login page between workers of an account source: tell and learn how it treats each.

All of it stands in the Lease of the source's logins. Without that Lease, or without an answer of the API server, each
worker goes only by itself, as if its source had no other account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ibfeed_api.backoff import Backoff
from ibfeed_api.labels import ANNOTATION_PAGE_TROUBLE
from ibfeed_api.log import Log
from ibfeed_api.logins import PageTrouble, parse_troubles, written
from ibfeed_api.reasons import Reason
from ibfeed_worker.account import page_trouble
from ibfeed_worker.account.lease import LeaseStore
from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError

LOOK_EVERY_S: Final = 20.0
_TRIES: Final = 6
_TURN_S: Final = 5.0  # seconds between workers that may all probe, by how often each has tried of late
_log: Final = Log(__name__)


class Pool:
    """The worker's end of the exchange about the login page.

    ``trouble`` is the last known trouble that stops logins, None if there is none. ``settings`` are those of the login:
    the experience of workers with others says nothing to us.
    """

    def __init__(self, store: LeaseStore, lease: str, settings: str) -> None:
        self.trouble: PageTrouble | None = None
        self._probing = False
        self._store = store
        self._lease = lease
        self._settings = settings

    async def failed(self, reason: Reason, text: str, account: int) -> bool:
        """Tell of a failed login.

        Return whether the page fails for several accounts alike, so that it is not this one.
        """
        self._probing = False
        if reason not in page_trouble.ALIKE:
            return False
        found = await self._change(
            lambda known, now: page_trouble.noted(known, reason, text, account, now, self._settings), "a failed login"
        )
        return page_trouble.of_account(found, reason, account)

    async def passed(self, account: int, *, sessions: bool = False) -> None:
        """Tell that a login has passed; ``sessions``: that its session streams, too."""
        self._probing = False
        await self._change(
            lambda known, now: page_trouble.passed(known, account, now, sessions=sessions), "a login that passed"
        )

    async def look(self) -> PageTrouble | None:
        """Return the trouble that stops logins, as it stands now; without an answer, as last known."""
        try:
            self.hear(await self._store.read_lease(self._lease))
        except KubeError as error:
            if not isinstance(error, NotFoundError):
                _log.warning("it is not known how the login page treats others", lease=self._lease, error=str(error))
        return self.trouble

    def hear(self, lease: dict[str, Any]) -> None:
        """Take over the trouble in a Lease that another part of the worker has just read."""
        self.trouble = page_trouble.meant(_troubles(lease), self._settings)

    async def until_it_is_our_turn(
        self, account: int, tries: int, may_probe: Callable[[datetime], bool], tell: Callable[[str], None]
    ) -> None:
        """Return when a login may be tried: nothing is wrong with the page, or this account is to probe it.

        Args:
            tries: how often this account has tried of late.
            may_probe: whether it may try once more at this moment.
            tell: called with what is being waited for.
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
        """Have the next login tried whatever the page does to others, since a person has corrected something."""
        self._probing = True

    async def may_submit(self) -> bool:
        """Whether a form may be sent now. It is asked just before that, for logins are under way side by side."""
        return await self.look() is None or self._probing

    async def _take_probe(self, trouble: PageTrouble) -> bool:
        """Try to become the one that probes now, by compare-and-swap. Return whether we are."""
        try:
            lease = await self._store.read_lease(self._lease)
            known = _troubles(lease)
            mine = page_trouble.meant(known, self._settings)
            if mine is None or mine != trouble:
                return mine is None
            await self._write(lease, page_trouble.probing(known, mine, datetime.now(UTC)))
        except KubeError:
            return False  # another worker was faster, or the next look tells more
        return True

    async def _change(
        self, change: Callable[[page_trouble.Troubles, datetime], page_trouble.Troubles], what: str
    ) -> page_trouble.Troubles:
        """Write a change of the Lease's troubles.

        Return the changed ones, or the former ones if they can't be written.
        """
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
    """Return for a person what the page does, and what is waited for."""
    at = page_trouble.probe_at(trouble, account) or trouble.next_probe
    when = f"at {at:%H:%M:%S} UTC one of them tries again" if at else "none is tried again until a person asks for it"
    return (
        f'IB\'s login page fails for several accounts alike ({trouble.reason}: "{trouble.text}", accounts'
        f" {', '.join(map(str, sorted(trouble.accounts)))}, since {trouble.since:%Y-%m-%d %H:%M} UTC): no other account"
        f" is used meanwhile, and none is parked; {when}"
    )


def _troubles(lease: dict[str, Any]) -> page_trouble.Troubles:
    return parse_troubles((lease["metadata"].get("annotations") or {}).get(ANNOTATION_PAGE_TROUBLE, ""))
