"""Which of several operators acts: the rules of the Lease by which they agree. Pure; times in seconds of our own clock.

Two never act at once, whatever is done to the Lease:

- who acts has renewed within the last 8 s, counted from the moment of *sending* the renewal; the first look that finds
  anything but our name on the Lease, or no Lease, ends it, and for good: the process ends and another one begins anew;
- another takes it when it has seen the Lease unchanged for 10 s, or at once if it was let go in order.

A Lease that is missing may have been deleted under an acting leader, and one without a holder cleared by a person. So
neither may be taken at once: it is created without a holder, and only the mark of an orderly release (a duration of one
second, as client-go leaves it) shortens the wait. Nor do all wait for ever: what nobody renews is free after 10 s, and
of several takers the API server lets one succeed, since each names the resourceVersion that it saw.

What counts as a change is what is in ``spec``: a program that only annotates the Lease keeps it for nobody. The
holder's timestamps are never compared with a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

RENEW_EVERY_S: Final = 2.0
LOST_AFTER_S: Final = 8.0  # no renewal for so long: the leader no longer acts …
TAKE_AFTER_S: Final = 10.0  # … before anyone who saw no change for so long may take over
_DURATION_S: Final = 10
_RELEASED_S: Final = 1


class Move(Enum):
    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"
    END = "end"  # it was ours, and is no more


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
    """What one operator process knows. ``since``: since when the Lease has looked as it did at the last look.

    ``renewed``: when the last of our writes that succeeded was sent; None: it isn't ours.
    """

    me: str
    looked: bool = False
    seen: Lease | None = None
    since: float = 0.0
    renewed: float | None = None

    def acts(self, now: float) -> bool:
        """Whether this process may write to the cluster now."""
        return self.renewed is not None and now - self.renewed < LOST_AFTER_S

    def too_late(self, now: float) -> bool:
        """Whether it led, and no longer does."""
        return self.renewed is not None and not self.acts(now)


def next_move(candidate: Candidate, lease: Lease | None, now: float) -> tuple[Candidate, Move]:
    """What is known after a look at the Lease (None: there is none), and what to do about it."""
    before = candidate.seen
    # One that was made anew may look like the old one did, before somebody held that.
    same = lease is not None and before is not None and (lease.uid, lease.spec) == (before.uid, before.spec)
    first = not candidate.looked
    after = replace(candidate, looked=True, seen=lease, since=candidate.since if same else now)
    return after, _move(after, lease, now, first=first)


def _move(candidate: Candidate, lease: Lease | None, now: float, *, first: bool) -> Move:
    mine = lease is not None and lease.holder == candidate.me
    if candidate.renewed is not None:
        return Move.RENEW if mine and candidate.acts(now) else Move.END
    if lease is None:
        return Move.CREATE
    # At our very first look it was written by the process before us in this container, which is dead. Later, somebody
    # put our name there, or the answer to our own write was lost.
    if lease.released or (mine and first) or now - candidate.since >= TAKE_AFTER_S:
        return Move.TAKE
    return Move.WAIT


def wrote(candidate: Candidate, lease: Lease, sent: float) -> Candidate:
    """After TAKE or RENEW has succeeded; ``sent``: when the request was made. ``lease``: the answer."""
    return replace(candidate, seen=lease, since=sent, renewed=sent)


def unheld() -> dict[str, Any]:
    """Spec of a Lease that nobody may take for 10 s."""
    return {"leaseDurationSeconds": _DURATION_S}


def taken(lease: Lease, me: str, now: datetime) -> dict[str, Any]:
    """Merge-patch that makes ``me`` the holder if the Lease is still as seen."""
    stamp = _micro(now)
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
    # The duration, too: were it left at one second, clearing the holder would look like a release.
    return _guarded(lease, {"leaseDurationSeconds": _DURATION_S, "renewTime": _micro(now)})


def released(lease: Lease, now: datetime) -> dict[str, Any]:
    """For who has stopped acting, and only then."""
    spec = {"holderIdentity": "", "leaseDurationSeconds": _RELEASED_S, "renewTime": _micro(now)}
    return _guarded(lease, spec)


def _guarded(lease: Lease, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": lease.resource_version}, "spec": dict(spec)}


def _micro(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
