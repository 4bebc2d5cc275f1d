"""IB's pacing limits as one budget in front of every REST call. Pure: the clock is the caller's.

A 429 puts the *address* into IB's penalty box for 10 or 15 minutes (sources differ; we wait the longer). Repeat
offenders may be blocked for good. So the budget stays below the limits in any window of a second, bursts included.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

PENALTY_S: Final = 15 * 60.0
_PENALTY_SPREAD_S: Final = 60.0  # so that the workers of one address do not come back together


@dataclass(slots=True)
class TokenBucket:
    """A token bucket: ``burst`` calls at once, ``rate`` a second after that.

    That is at most ``burst + rate`` in any second.
    """

    rate: float
    burst: float
    _level: float = field(init=False)
    _at: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._level = self.burst

    def reserve(self, now: float, count: int = 1) -> float:
        """Take tokens; return the seconds to wait before using them. Tokens may be owed: callers queue up in order."""
        if self._at > float("-inf"):
            self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        self._level -= count
        return max(0.0, -self._level / self.rate)


class PenalisedError(Exception):
    """IB has put this address into its penalty box; ``left`` seconds of silence remain."""

    def __init__(self, left: float) -> None:
        super().__init__(f"IB answered 429: this address stays silent for {left:.0f} s more")
        self.left = left


class Budget:
    """The pacing budget of one gateway.

    IB's limits are 10 requests/s through the gateway, its own calls included, /tickle 1/s, and /sso/validate 1/min.
    """

    def __init__(self, dice: random.Random | None = None) -> None:
        self._all = TokenBucket(rate=7.0, burst=2.0)
        self._paths = {
            "/tickle": TokenBucket(rate=0.95, burst=1.0),
            "/sso/validate": TokenBucket(rate=1 / 61, burst=1.0),
        }
        self._silent_until = float("-inf")
        dice = dice or random.Random()  # noqa: S311 - spreads workers over time
        self._spread = dice.uniform(0, _PENALTY_SPREAD_S)

    def reserve(self, path: str, now: float) -> float:
        """Return the seconds to wait before calling ``path``. Raises PenalisedError."""
        if (left := self.penalty_left(now)) > 0:
            raise PenalisedError(left)
        own = self._paths.get(path)
        return max(self._all.reserve(now), own.reserve(now) if own else 0.0)

    def gateway_called(self, calls: int, now: float) -> None:
        """Count calls that the gateway has made by itself.

        IB counts them like ours, so ours wait for as long as these take.
        """
        self._all.reserve(now, calls)

    def penalise(self, now: float) -> None:
        self._silent_until = now + PENALTY_S + self._spread

    def hear(self, now: float, left: float) -> bool:
        """Note that another worker of this address is penalised for ``left`` seconds more.

        Return whether that is news.
        """
        until = now + left + self._spread
        # The same penalty is heard again at each look, and the two clocks behind it differ slightly.
        if until <= self._silent_until + 1.0:
            return False
        self._silent_until = until
        return True

    def penalty_left(self, now: float) -> float:
        return max(0.0, self._silent_until - now)
