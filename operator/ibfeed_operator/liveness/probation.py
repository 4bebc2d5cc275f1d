"""How long a worker that was lost repeatedly must stream before it is given contracts. Pure.

The first loss costs nothing: a worker that returns has its contracts back at once. From the second loss within
``FORGET_S`` on, it must stream without a break for a time that doubles with each loss. So a worker that bounces moves
contracts a few times, not at each bounce.

Losses are kept in memory. A new operator begins with what the cluster shows of them: a container that was restarted
repeatedly, and a worker that has no contracts yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FREE_LOSSES: Final = 1
FIRST_S: Final = 30.0
MOST_S: Final = 900.0
FORGET_S: Final = 3600.0
_MOST_SEEN: Final = 3  # restarts that count at first sight, at most, since they may be old


def probation_s(losses: int) -> float:
    """Return the seconds of unbroken streaming that ``losses`` within ``FORGET_S`` require."""
    return min(MOST_S, FIRST_S * 2.0 ** (losses - FREE_LOSSES - 1)) if losses > FREE_LOSSES else 0.0


@dataclass(slots=True)
class Probation:
    """The recent losses of one pod's worker. ``now`` is monotonic, in seconds."""

    pod: str  # its uid: a new pod starts with a clean record
    losses: list[float] = field(default_factory=list)
    streams_since: float | None = None
    lost: bool = False

    @classmethod
    def begun(cls, pod: str, *, restarts: int, trusted: bool, now: float) -> Probation:
        """Return the record of a pod at first sight. ``trusted``: it streams and has contracts."""
        return cls(pod, [now] * min(restarts, _MOST_SEEN) if restarts > FREE_LOSSES and not trusted else [])

    def observe(self, *, streams: bool, lost: bool, now: float) -> None:
        """Take in the worker's present state. ``lost``: its contracts go to others, by its own fault."""
        self.losses = [at for at in self.losses if now - at < FORGET_S]
        if lost and not self.lost:
            self.losses.append(now)
        self.lost = lost
        if not streams:
            self.streams_since = None
        elif self.streams_since is None:
            self.streams_since = now

    def left_s(self, now: float) -> float:
        """Return the seconds that it still has to stream without a break."""
        since = self.streams_since if self.streams_since is not None else now
        return max(0.0, probation_s(len(self.losses)) - (now - since))

    @property
    def text(self) -> str:
        count, wait = len(self.losses), probation_s(len(self.losses))
        return f"lost {count} times within the hour: it is given contracts once it has streamed for {wait:g} s"
