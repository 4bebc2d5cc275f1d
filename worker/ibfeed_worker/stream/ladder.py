"""The plan of price ladders: which to ask for, again or no more. Pure: wanted, asked and the time go in.

``ubd`` names no contract, so an account has one ladder at a time. IB answers ``sbd`` by rows or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from ibfeed_api.backoff import delay

FIRST_PATIENCE_S: Final = 10.0
MOST_PATIENCE_S: Final = 300.0


class Target(NamedTuple):
    """The contract whose ladder is wanted. Without an exchange IB takes all those that have a deep book."""

    conid: int
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The ladder that was asked for on this connection.

    ``again_at``: when to ask again, in monotonic seconds; None: never.
    """

    account: str
    target: Target
    tries: int
    again_at: float | None

    def answered(self) -> Asked:
        """Note that rows came. No source says that a ladder ends, so it is not renewed by the clock."""
        return self if self.again_at is None else replace(self, tries=0, again_at=None)

    def dead(self, now: float) -> Asked:
        """Note that no rows come any more."""
        return replace(self, again_at=now)


@dataclass(frozen=True, slots=True)
class LadderStep:
    """The commands to send now, and the ladder that is asked for then."""

    commands: tuple[bytes, ...]
    asked: Asked | None


def reconcile(wanted: Target | None, account: str | None, asked: Asked | None, now: float) -> LadderStep:
    """Return the next step. An unanswered ladder is asked for again, after ever longer pauses.

    ``account`` is None until IB has named it.
    """
    if wanted is None or account is None:
        return LadderStep((), None) if asked is None else LadderStep((_end(asked),), None)
    if asked is None:
        return LadderStep((_start(account, wanted),), _first(account, wanted, now))
    if (asked.account, asked.target) != (account, wanted):
        return LadderStep((_end(asked), _start(account, wanted)), _first(account, wanted, now))
    if asked.again_at is None or now < asked.again_at:
        return LadderStep((), asked)
    patience = delay(FIRST_PATIENCE_S, MOST_PATIENCE_S, asked.tries + 1)
    again = replace(asked, tries=asked.tries + 1, again_at=now + patience)
    return LadderStep((_end(asked), _start(account, wanted)), again)


def _first(account: str, target: Target, now: float) -> Asked:
    return Asked(account, target, tries=1, again_at=now + FIRST_PATIENCE_S)


def _start(account: str, target: Target) -> bytes:
    exchange = f"+{target.exchange}" if target.exchange else ""
    return f"sbd+{account}+{target.conid}{exchange}".encode()


def _end(asked: Asked) -> bytes:
    return f"ubd+{asked.account}".encode()
