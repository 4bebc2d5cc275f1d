"""Ask IB for a root's contracts, through this worker's session."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from ibfeed_api.calls import ResolvedContract, ResolvedRoot
from ibfeed_worker.session.answers import AuthStatus, NoSession, Throttled, Unavailable, Unknown
from ibfeed_worker.session.rest import Rest, describe
from ibfeed_worker.universe.parse import BadAnswer, Listed, contract, futures, nearest

_AT_ONCE: Final = 5  # requests in flight; the pacing budget decides how fast they start
_EXCHANGE: Final = timezone(
    timedelta(hours=-6)
)  # expiry dates are the exchange's days; an hour more or less is no matter


class UnknownRoot(Exception):
    """IB lists no futures of this root."""


class CantAsk(Exception):
    """No session, or IB does not answer now."""


class Universe:
    """Remembers each contract's month for the process's life: it never changes."""

    def __init__(self) -> None:
        self._known: dict[int, ResolvedContract] = {}

    async def resolve(self, rest: Rest, root: str, months: int) -> ResolvedRoot:
        """The ``months`` nearest contracts. Raises UnknownRoot, CantAsk or BadAnswer."""
        found = _checked(await rest.get("/trsrv/futures", {"symbols": root}))
        listed = futures(found, root)
        if not listed:
            raise UnknownRoot(f"IB lists no futures of root {root}")
        wanted = nearest(listed, months, datetime.now(_EXCHANGE).date())
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Listed) -> ResolvedContract:
            if row.conid not in self._known:
                async with gate:
                    info = _checked(await rest.get(f"/iserver/contract/{row.conid}/info", {}))
                self._known[row.conid] = contract(row, root, info)
            return self._known[row.conid]

        answers = await asyncio.gather(*(one(row) for row in wanted), return_exceptions=True)
        contracts = []
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            contracts.append(answer)
        return ResolvedRoot(root=root, contracts=tuple(contracts))


def _checked(found: Any) -> Any:
    if isinstance(found, NoSession | Unavailable | Throttled):
        raise CantAsk(describe(found))
    if isinstance(found, AuthStatus):
        raise CantAsk(found.message)
    if isinstance(found, Unknown):
        raise BadAnswer(found.text)
    return found
