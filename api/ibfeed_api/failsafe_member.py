"""A member of a failsafe: it answers holders, which can't renew their Leases, and takers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import Outcome, Renewal, Word, Words
from ibfeed_api.failsafe_calls import Kind, Question, answer, read_question
from ibfeed_api.log import Log

_RELAY_S: Final = 1.0  # for another's renewal, so that its answer comes within ANSWER_S
_log: Final = Log(__name__)


class FailsafeMember:
    """One per process; to be made on the event loop.

    Args:
        me: this process's name, ``<pod name>_<pod uid>``.
        renew: tries to renew a Lease for its holder. It may take long: it is cancelled after a second.
        key_of: returns the public key of a process that may ask, by name; None: it may not.
        holds: whether this process holds a Lease, by name, and its fence is open.
    """

    def __init__(
        self,
        me: str,
        signer: Signer,
        *,
        renew: Callable[[Question], Awaitable[Renewal]],
        key_of: Callable[[str], str | None],
        holds: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.name: Final = me
        self._signer: Final = signer
        self._relay: Final = renew
        self._key_of: Final = key_of
        self._holds: Final = holds
        self._now: Final = asyncio.get_running_loop().time
        self._words: Final = Words(self._now())
        self._asked: Final[dict[str, int]] = {}

    def vouches(self, holder: str) -> bool:
        """Whether this process has not said away to a holder lately."""
        return self._words.vouches(holder, self._now())

    async def answer(self, body: str) -> str:
        """Return the answer to a question. Raises CallRefusedError."""
        question = read_question(body, me=self.name, key_of=self._key_of)
        if question.kind is Kind.RENEW:
            if question.at <= self._asked.get(question.asker, -1):
                raise CallRefusedError("asked before")  # somebody sends it again, perhaps for a worker that is dead
            self._asked[question.asker] = question.at
            return answer(self._signer, question, await self._renew(question))
        if question.holder == self.name:
            return answer(self._signer, question, Word(vouches=False, holds=self._holds(question.lease)))
        return answer(self._signer, question, Word(vouches=self.vouches(question.holder)))

    async def _renew(self, question: Question) -> Renewal:
        try:
            async with asyncio.timeout(_RELAY_S):
                renewal = await self._relay(question)
        except TimeoutError:
            renewal = Renewal(Outcome.AWAY, f"no answer from the API server within {_RELAY_S:g} s")
        if renewal.outcome is Outcome.AWAY:
            self._words.say_away(question.holder, self._now())  # before it is said
        else:
            told = {"lease": question.lease, "holder": question.holder, "outcome": renewal.outcome}
            _log.info("asked to renew another's Lease", **told, error=renewal.text)
        return renewal
