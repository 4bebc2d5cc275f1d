"""Ask IB for a root's contracts, through this worker's session."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, Final

from ibfeed_api.calls import ResolvedContract, ResolvedRoot
from ibfeed_worker.session.answers import AuthStatus, NoSession, Throttled, Unavailable, Unknown
from ibfeed_worker.session.rest import Rest, describe
from ibfeed_worker.universe.parse import BadAnswer, Listed, contract, futures, nearest

_AT_ONCE: Final = 5  # requests in flight; the pacing budget decides how fast they start


class UnknownRoot(Exception):
    """IB lists no futures of this root."""


class CantAsk(Exception):
    """No session, or IB does not answer now."""


class Universe:
    """Remembers what IB said of each row for the process's life; a row whose dates change is asked for anew."""

    def __init__(self) -> None:
        self._known: dict[Listed, ResolvedContract] = {}

    async def resolve(self, rest: Rest, root: str, months: int, since: date) -> ResolvedRoot:
        """The ``months`` nearest contracts that trade on ``since`` or later.

        Raises UnknownRoot, CantAsk or BadAnswer.
        """
        found = _checked(await rest.get("/trsrv/futures", {"symbols": root}))
        listed = futures(found, root)
        if not listed:
            raise UnknownRoot(f"IB lists no futures of root {root}")
        wanted = nearest(listed, months, since)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Listed) -> ResolvedContract:
            if row not in self._known:
                async with gate:
                    info = _checked(await rest.get(f"/iserver/contract/{row.conid}/info", {}))
                self._known[row] = contract(row, root, info)
            return self._known[row]

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
