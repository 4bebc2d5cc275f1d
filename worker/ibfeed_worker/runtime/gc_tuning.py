"""Tuning of Python's cycle collector.

It runs rarely, since the data path makes no cycles and a run stops the stream.
"""

from __future__ import annotations

import gc
from typing import Final

_NEW_OBJECTS: Final = 100_000  # more than a full queue of records that wait for Kafka


def collect_rarely() -> None:
    """Make collections rare. Call it once, when all modules are loaded: later runs do not look at those again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
