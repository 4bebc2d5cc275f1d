"""The settings of a venue."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from typing import Literal

from ibfeed_simulator.market.exchange import Mode
from ibfeed_simulator.market.hours import Hours
from ibfeed_simulator.market.walk import SLOWER_PER_MONTH
from ibfeed_simulator.venue.users import User


@dataclass(frozen=True)
class Settings:
    users: dict[str, User] = field(repr=False)
    seed: int = 1
    mode: Mode = "common"
    hours: Hours = "always"
    interval: float = 0.5  # seconds between updates of a front month
    slower: float = SLOWER_PER_MONTH  # each month further out is quieter by this factor
    data: Path | None = None  # folder with a recording for ES; None: the shipped hour
    replay: bool = True
    replay_speed: float = 1.0
    subscription_seconds: float = 600.0
    lines: int = 100
    over_limit: Literal["silence", "error"] = "silence"
    penalty_seconds: float = 900.0
    daily_reset: time | None = None  # a time of day in New York; None: never
    reset_seconds: float = 60.0  # of maintenance at each reset
    lock_after: int = 5  # wrong passwords in a row
    page_version: Literal[1, 2] = 2
    typing_seconds: float = 4.0  # a form that is sent sooner after the last key is refused
    truth_file: Path | None = None
