"""The setting of the benchmark: names, sizes, and how long things may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NAMESPACE: Final = "ibfeed-bench"  # feed and venue both: deleting it leaves nothing
FEED: Final = "bench"
VENUE_HOST: Final = f"ib-api.{NAMESPACE}.svc.cluster.local"

WORKERS: Final = 4
ROOTS: Final = ("CL", "NG", "ES", "GC", "PL", "HG", "RB", "HO", "BZ")
MONTHS: Final = 12
CONTRACTS: Final = len(ROOTS) * MONTHS
UPDATES_PER_S: Final = 2.0  # of each contract: IB's most

ACCOUNTS: Final = 8  # of the feed: a worker that comes back at once may find its account still held
WITNESSES: Final = 2  # accounts of the witness, who needs a line for every contract
LINES: Final = 100

TICKS, DEPTH, EVENTS = "bench-ticklast", "bench-l2-data", "bench-feed-events"
PARTITIONS: Final = 12


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    moves: int = 300
    crashes: int = 20
    hung: int = 4  # of each kind
    away_s: float = 300


FULL: Final = Sizes()
QUICK: Final = Sizes(moves=100, crashes=2, hung=1, away_s=30)
