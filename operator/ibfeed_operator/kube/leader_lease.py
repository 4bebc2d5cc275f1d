"""The rules of the Lease by which several operators agree on one that acts. Pure; times in seconds of our own clock.

Two operators never act at once, whatever is done to the Lease:

- The leader acts only within 8 s after *sending* its last renewal. Then it waits. While the API server is away for all
  it stays what it was: its next renewal succeeds if nobody else has written its name meanwhile, and it acts again. It
  ends for good at the first look that does not find its name on the Lease. Then its process ends, and the next process
  starts from the beginning. An operator that stands by then waits 10 s from its first look: the leader is first.
- Another operator takes the Lease when it has seen it unchanged for 10 s, or at once after an orderly release.

A missing Lease may have been deleted under an acting leader. One without a holder may have been cleared by a person. So
neither may be taken at once: a missing Lease is created without a holder. Only the mark of an orderly release (a
duration of one second, as client-go leaves it) shortens the wait.

No operator waits for ever, since a Lease without renewals is free after 10 s. If several try to take it, the API server
lets one succeed, since each names the resourceVersion that it saw.

Only a change of ``spec`` counts as a change: a program that only annotates the Lease does not keep it. The holder's
timestamps are never compared with a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final

from ibfeed_api.lease import micro_time

RENEW_EVERY_S: Final = 2.0
LOST_AFTER_S: Final = 8.0  # a leader without a renewal for so long no longer acts …
TAKE_AFTER_S: Final = 10.0  # … before an operator that saw no change for so long may take over
_DURATION_S: Final = 10
_RELEASED_S: Final = 1


class Move(Enum):
    """The next thing to do about the Lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"
    END = "end"  # the Lease was ours and no longer is


@dataclass(frozen=True, slots=True)
class Lease:
    """The Lease as it was read. ``spec`` is all of it, since any change of it may be a holder's renewal."""

    uid: str
    resource_version: str
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holder(self) -> str:
        return str(self.spec.get("holderIdentity") or "")

    @property
    def released(self) -> bool:
        return not self.holder and self.spec.get("leaseDurationSeconds") == _RELEASED_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One operator process and its knowledge of the Lease.

    ``since``: since when the Lease has looked as it did at the last look. ``blind``: the API server has not answered
    since then, so the holder may not have reached it either. ``renewed``: when the last of our successful writes was
    sent; None: the Lease isn't ours.
    """

    me: str
    looked: bool = False
    seen: Lease | None = None
    since: float = 0.0
    blind: bool = False
    renewed: float | None = None

    def acts(self, now: float) -> bool:
        """Whether this process may write to the cluster now."""
        return self.renewed is not None and now - self.renewed < LOST_AFTER_S


def next_move(candidate: Candidate, lease: Lease | None, now: float) -> tuple[Candidate, Move]:
    """Return the candidate after a look at the Lease (None: there is none), and what to do about it."""
    before = candidate.seen
    # A Lease that was created again may look as the old one did before it was held.
    same = lease is not None and before is not None and (lease.uid, lease.spec) == (before.uid, before.spec)
    first = not candidate.looked
    since = candidate.since if same and not candidate.blind else now
    after = replace(candidate, looked=True, seen=lease, since=since, blind=False)
    return after, _move(after, lease, now, first=first)


def _move(candidate: Candidate, lease: Lease | None, now: float, *, first: bool) -> Move:
    mine = lease is not None and lease.holder == candidate.me
    if candidate.renewed is not None:
        return Move.RENEW if mine else Move.END
    if lease is None:
        return Move.CREATE
    # Our name at the very first look was written by the process before us in this container, which is dead. Later it
    # means that another client put it there, or that the answer to our own write was lost.
    if lease.released or (mine and first) or now - candidate.since >= TAKE_AFTER_S:
        return Move.TAKE
    return Move.WAIT


def blinded(candidate: Candidate) -> Candidate:
    """Return the candidate after a look that failed. A holder is given the whole time again, from the next look on."""
    return replace(candidate, blind=True)


def wrote(candidate: Candidate, lease: Lease, sent: float) -> Candidate:
    """Return the candidate after a TAKE or RENEW that succeeded. ``sent``: when it was sent. ``lease``: the answer."""
    return replace(candidate, seen=lease, since=sent, renewed=sent)


def unheld() -> dict[str, Any]:
    """Return the spec of a Lease that no operator may take for 10 s."""
    return {"leaseDurationSeconds": _DURATION_S}


def taken(lease: Lease, me: str, now: datetime) -> dict[str, Any]:
    """Return the merge-patch that makes ``me`` the holder if the Lease is still as seen."""
    stamp = micro_time(now)
    transitions = lease.spec.get("leaseTransitions") or 0
    spec = {
        "holderIdentity": me,
        "leaseDurationSeconds": _DURATION_S,
        "acquireTime": stamp,
        "renewTime": stamp,
        "leaseTransitions": transitions + (lease.holder != me),
    }
    return _guarded(lease, spec)


def renewed(lease: Lease, now: datetime) -> dict[str, Any]:
    # With the duration, since with one of one second a cleared holder would look like a release.
    return _guarded(lease, {"leaseDurationSeconds": _DURATION_S, "renewTime": micro_time(now)})


def released(lease: Lease, now: datetime) -> dict[str, Any]:
    """Return the merge-patch of an orderly release. Only an operator that has stopped acting may send it."""
    spec = {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_S, "renewTime": micro_time(now)}
    return _guarded(lease, spec)


def _guarded(lease: Lease, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": lease.resource_version}, "spec": dict(spec)}
