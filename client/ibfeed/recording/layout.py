"""The places of a recording's files in its folder. No I/O.

::

    FOLDER/records/ticklast/2026-11-27/495512572.ibrec    a topic, a UTC day, a key (a contract's conid)
    FOLDER/frames/2026-11-27/energy-0-20261127T081503217.ibrec   a UTC day, a worker's websocket and when it was opened
    FOLDER/positions.json                                 how far each partition of Kafka is recorded
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import PurePosixPath
from typing import Final

POSITIONS: Final = "positions.json"
LOCK: Final = "recorder.lock"
RECORDS: Final = "records"
FRAMES: Final = "frames"
SUFFIX: Final = ".ibrec"
DAY_MS: Final = 86_400_000
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def day_of(ms: int) -> dt.date:
    """Return the UTC day of a time in ms since 1970."""
    return dt.date.fromordinal(dt.date(1970, 1, 1).toordinal() + ms // DAY_MS)


def records_path(topic: str, key: bytes | None, day: dt.date) -> PurePosixPath:
    """Return the file of a topic's records of one key and day, within the folder.

    A key that is no plain name is told by its digest.
    """
    return PurePosixPath(RECORDS, topic, day.isoformat(), _name(key) + SUFFIX)


def frames_path(worker: str, opened_ns: int, day: dt.date) -> PurePosixPath:
    """Return the file of a websocket's frames of one day, within the folder.

    Args:
        worker: the worker's name.
        opened_ns: when the websocket was opened, in ns since 1970.
        day: the UTC day.
    """
    opened = dt.datetime.fromtimestamp(opened_ns // 1_000_000_000, dt.UTC)
    ms = opened_ns // 1_000_000 % 1000  # a websocket may break within a second, and the next one is opened at once
    return PurePosixPath(FRAMES, day.isoformat(), f"{worker}-{opened:%Y%m%dT%H%M%S}{ms:03}{SUFFIX}")


def _name(key: bytes | None) -> str:
    if key is None:
        return "~none"
    text = key.decode("ascii", errors="replace")
    return text if _PLAIN.fullmatch(text) else f"~{hashlib.sha256(key).hexdigest()[:32]}"
