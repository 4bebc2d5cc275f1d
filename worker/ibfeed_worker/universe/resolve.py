"""The resolver of roots: asks IB for a root's contracts, through this worker's session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NoReturn

from ibfeed_api.calls import ResolvedContract, ResolvedRoot
from ibfeed_api.instrument import Product
from ibfeed_api.log import Log
from ibfeed_worker.session.client import SessionClient, describe
from ibfeed_worker.session.responses import AuthStatus, NoSession, Throttled, Unavailable, Unknown
from ibfeed_worker.universe.parse import AnswerError, Listed, alive, answer, contract, futures, is_enough

_AT_ONCE: Final = 5  # requests in flight; the pacing budget decides how fast they start
_PACE_S: Final = 1.0  # seconds between questions that no caller waits for: a seventh of the budget
_IDLE_S: Final = 10.0
_log: Final = Log(__name__)


class UnknownRootError(Exception):
    """IB lists no futures of this root."""


class CannotAskError(Exception):
    """There is no session, or IB does not answer now."""


class Universe:
    """The contracts of all roots that were asked for, as IB described them.

    A row is remembered for the life of the process, and asked for again if its dates change. A row of
    ``/trsrv/futures`` does not tell its product, so each costs a question. The nearest are asked first, until there are
    enough; ``read_on`` asks for the others in its own time.
    """

    def __init__(self) -> None:
        self._known: dict[Listed, ResolvedContract] = {}
        self._unusable: dict[Listed, str] = {}
        self._rows: dict[str, tuple[Listed, ...]] = {}  # of each root that was asked for

    async def resolve(self, rest: SessionClient, root: str, months: int, since: date, wanted: Product) -> ResolvedRoot:
        """Return the ``months`` nearest contracts of each ``wanted`` product, which trade on ``since`` or later.

        Raises UnknownRootError, CannotAskError or AnswerError.
        """
        found = _checked(await rest.get("/trsrv/futures", {"symbols": root}))
        listed = futures(found, root)
        if not listed:
            raise UnknownRootError(f"IB lists no futures of root {root}")
        rows = alive(listed, since)
        self._rows[root] = rows
        for row in rows:
            self._unusable.pop(row, None)  # IB may answer better by now
        unread = [row for row in rows if row not in self._known]
        while unread and not is_enough(self._known_of(rows[: rows.index(unread[0])]), months, wanted):
            await self._read(rest, root, unread[:_AT_ONCE])
            del unread[:_AT_ONCE]
        if rows and not any(row in self._known for row in rows):
            raise AnswerError("; ".join(self._unusable[row] for row in rows[:3] if row in self._unusable))
        return answer(root, rows, self._known, self._unusable, months=months, wanted=wanted)

    async def read_on(self, rest: SessionClient) -> NoReturn:
        """Ask for the rows that no answer has needed so far, one after the other, for as long as there is a session."""
        while True:
            row = self._next()
            if row is not None:
                try:
                    await self._read(rest, row[0], [row[1]])
                except CannotAskError as problem:
                    _log.info("IB is not asked for more contracts now", root=row[0], problem=str(problem))
                    await asyncio.sleep(_IDLE_S)
            await asyncio.sleep(_IDLE_S if row is None else _PACE_S)

    def _next(self) -> tuple[str, Listed] | None:
        for root, rows in self._rows.items():
            for row in rows:
                if row not in self._known and row not in self._unusable:
                    return root, row
        return None

    def _known_of(self, rows: Sequence[Listed]) -> list[ResolvedContract]:
        return [self._known[row] for row in rows if row in self._known]

    async def _read(self, rest: SessionClient, root: str, rows: Sequence[Listed]) -> None:
        """Read rows. Raises CannotAskError. A row with a senseless answer is unusable, which harms no other."""
        answers = await asyncio.gather(*(self._ask(rest, root, row) for row in rows), return_exceptions=True)
        for found in answers:
            if isinstance(found, BaseException):
                raise found

    async def _ask(self, rest: SessionClient, root: str, row: Listed) -> None:
        try:
            info = _checked(await rest.get(f"/iserver/contract/{row.conid}/info", {}))
            self._known[row] = contract(row, root, info)
        except AnswerError as problem:
            self._unusable[row] = f"contract {row.conid} of {root}, which expires on {row.expiry}: {problem}"
            _log.warning("a contract is left out", root=root, conid=row.conid, problem=str(problem))


def _checked(found: Any) -> Any:
    if isinstance(found, NoSession | Unavailable | Throttled):
        raise CannotAskError(describe(found))
    if isinstance(found, AuthStatus):
        raise CannotAskError(found.message)
    if isinstance(found, Unknown):
        raise AnswerError(found.text)
    return found
