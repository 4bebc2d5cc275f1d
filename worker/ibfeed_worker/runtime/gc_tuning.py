"""How often Python looks for reference cycles: rarely, since the data path makes none and a look stops the stream."""

from __future__ import annotations

import gc
from typing import Final

_NEW_OBJECTS: Final = 100_000  # more than a full queue of records that wait for Kafka


def collect_rarely() -> None:
    """To be called once, when all modules are loaded: what is there by then stays, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
