"""Delays between tries: exponential, capped, and spread over the workers. Pure but for the dice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


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
        # The exponent is bounded so that a year of tries does not overflow a float.
        delay = min(self.most, self.first * 2.0 ** min(self.tries, 32))
        self.tries += 1
        return delay * (1 + self.dice.uniform(-self.spread, self.spread))

    def reset(self) -> None:
        self.tries = 0
