"""Failsafe: a holder of a Lease goes on while nobody can write to the API server. Pure.

A holder names its *members* on the Lease: processes that would take the Lease, or know whether somebody could. When it
can't renew, it asks them. A member tries the renewal itself. If it can't reach the API server either, it says *away*.

- **Going on.** When all members but the spared ones say away, the holder goes on as after a renewal: for SELF_FENCE_S
  from the moment at which it asked.
- **Taking over.** A Lease that names members may be taken only if it has been unchanged for TAKEOVER_S and more members
  than are spared *vouch*, within SPREAD_S of each other: they have not said away to this holder for TAKEOVER_S.

One of those that vouch is always among those that the holder needs. None of them has said away in the last 8 s. So the
holder has fenced itself, and a lost Lease stays lost. The two numbers follow from ``SELF_FENCE_S + SPREAD_S <=
TAKEOVER_S``. Patroni's failsafe mode asks all members and waits for all; sparing one lets a member die in the middle.

A process that has just started does not know what the one before it said. So it vouches only after TAKEOVER_S. One that
has ended says nothing any more. It counts as vouching TAKEOVER_S after its end was seen.

``tests/support/failsafe_model.py`` explores holder, members, API server and takers exhaustively.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

import msgspec

from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S

ANSWER_S: Final = 1.5  # a question is answered within this time, or not at all
SPREAD_S: Final = TAKEOVER_S - SELF_FENCE_S
# So long a holder goes on without a renewal of its own. Then even a taker that no member answers may take the Lease.
LONGEST_S: Final = 3600.0


class Member(msgspec.Struct, frozen=True, order=True, rename="camel"):
    """A process that a holder asks.

    ``namespace``: of its pod. ``name``: ``<pod name>_<pod uid>``. ``address``: ``host:port`` of its HTTP server.
    ``key``: its public key, with which its answers are signed (``calls.py``).
    """

    namespace: str
    name: str
    address: str
    key: str


class Outcome(StrEnum):
    """A member's answer to a holder."""

    RENEWED = "renewed"  # it has written the renewal
    LOST = "lost"  # the Lease is another's, or gone
    AWAY = "away"  # it does not reach the API server either
    UNABLE = "unable"  # the API server answers it, and refuses the renewal


class Renewal(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a holder. ``resource_version``: of the Lease, if it is still the asker's."""

    outcome: Outcome
    text: str = ""
    resource_version: str = ""


class Word(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a taker.

    ``vouches``: the member has not said away to the holder for TAKEOVER_S. ``holds``: it is the holder itself, and its
    fence is open.
    """

    vouches: bool
    holds: bool = False


def spared(members: int) -> int:
    """Return how many of so many members need not answer a holder."""
    return 1 if members >= 3 else 0


def may_go_on(named: Iterable[frozenset[str]], away: Collection[str]) -> bool:
    """Whether a holder may go on without a renewal.

    Args:
        named: the names of the members on the Lease. There is more than one set while it is not known which one a
            renewal wrote: all must agree.
        away: names of members that said away in one round.
    """
    sets = list(named)
    return bool(sets) and all(
        names and len(names.intersection(away)) >= len(names) - spared(len(names)) for names in sets
    )


def may_take(members: Collection[str], vouching: Collection[str], unchanged_s: float) -> bool:
    """Whether a Lease with these members may be taken from its holder.

    Args:
        members: names of the members on the Lease; none if its holder never goes on without a renewal.
        vouching: names of those that vouch, the taker included if it is one, asked within SPREAD_S.
        unchanged_s: since when the taker has seen the Lease unchanged, by its own clock.
    """
    if unchanged_s < TAKEOVER_S:
        return False
    names = frozenset(members)
    return not names or len(names.intersection(vouching)) > spared(len(names)) or unchanged_s >= LONGEST_S + TAKEOVER_S


class Words:
    """A member's memory of its words. Times are seconds of its own monotonic clock."""

    def __init__(self, started: float) -> None:
        self._started: Final = started
        self._said: dict[str, float] = {}

    def say_away(self, holder: str, now: float) -> None:
        """Remember that away is about to be said to ``holder``. To be called before the answer is sent."""
        self._said[holder] = now
        self._said = {name: at for name, at in self._said.items() if now - at < TAKEOVER_S}

    def vouches(self, holder: str, now: float) -> bool:
        return now - max(self._started, self._said.get(holder, self._started)) >= TAKEOVER_S


def parse_members(text: str) -> tuple[Member, ...]:
    """Return the members in the annotation of a Lease. An unreadable text names nobody that could answer.

    Such a Lease is not without members: it can be taken only after LONGEST_S.
    """
    if not text:
        return ()
    try:
        return tuple(msgspec.json.decode(text, type=tuple[Member, ...]))
    except msgspec.DecodeError:
        return (Member(namespace="", name="?", address="", key=""),)


def format_members(members: Iterable[Member]) -> str:
    """Return the annotation that names the members; empty for none."""
    listed = sorted(members)
    return msgspec.json.encode(listed).decode() if listed else ""
