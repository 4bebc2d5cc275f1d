"""Delays between tries: exponential, capped, and spread over those that try. Pure but for the dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

_MOST_DOUBLINGS: Final = 32  # a year of tries must not overflow a float


def delay(first: float, most: float, tries: int) -> float:
    """Return the delay in seconds after ``tries`` tries: ``first``, then twice as much each time up to ``most``."""
    return min(most, first * 2.0 ** min(max(0, tries - 1), _MOST_DOUBLINGS))


@dataclass(slots=True)
class Backoff:
    """A growing delay. ``next()`` gives ``first`` seconds, then twice as much each time up to ``most``.

    Each delay is varied by a random share of at most +-``spread``.
    """

    first: float
    most: float
    spread: float = 0.2
    dice: random.Random = field(default_factory=random.Random)
    tries: int = 0

    def next(self) -> float:
        self.tries += 1
        return delay(self.first, self.most, self.tries) * (1 + self.dice.uniform(-self.spread, self.spread))

    def reset(self) -> None:
        self.tries = 0
