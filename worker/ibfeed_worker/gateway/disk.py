"""A bound for the gateway's files, whatever distribution it is.

The pod's volume has a limit, and a pod that exceeds it is evicted with all its contracts. ``logback.py`` tells IB's
gateway how to log. This bound also holds for a gateway that does not listen, and for any other file in its folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ibfeed_api.log import Log

LIMIT_BYTES: Final = 512 << 20  # of the pod's 2 GiB, part of which Chromium's profile needs
_LOOK_S: Final = 10.0
_BLOCK: Final = 512  # bytes; POSIX counts st_blocks in these
# Files in the gateway's folder that we put there and the gateway only reads.
_OURS: Final = ("home/bin", "home/root", "trust.p12", "trust.pem")
_log: Final = Log(__name__)


@dataclass(frozen=True, slots=True)
class File:
    """A file and its size on the disk."""

    path: Path
    size: int  # bytes on the disk


def too_much(files: Iterable[File], limit: int) -> list[File]:
    """Choose the largest of ``files``, so that the others take at most half of ``limit``; none if all are within it.

    Pure.
    """
    ordered = sorted(files, key=lambda file: file.size, reverse=True)
    total = sum(file.size for file in ordered)
    if total <= limit:
        return []
    chosen = []
    for file in ordered:
        if total <= limit // 2:
            break
        chosen.append(file)
        total -= file.size
    return chosen


async def keep_bounded(folder: Path, *, limit: int = LIMIT_BYTES, look_s: float = _LOOK_S) -> None:
    """Empty the largest files of the gateway's ``folder`` when they exceed ``limit`` bytes together. Runs for ever.

    A file is emptied and not removed: a process that has it open would go on filling it, unseen.
    """
    while True:
        emptied = await asyncio.to_thread(_empty, folder, limit)
        if emptied:
            _log.warning(
                "the gateway wrote too much to disk, and its largest files were emptied",
                limit=limit,
                files={str(file.path.relative_to(folder)): file.size for file in emptied},
            )
        await asyncio.sleep(look_s)


def _empty(folder: Path, limit: int) -> list[File]:
    emptied = too_much(_files(folder), limit)
    for file in emptied:
        try:
            os.truncate(file.path, 0)
        except OSError:  # it has gone meanwhile, with the gateway or by a log rotation
            continue
    return emptied


def _files(folder: Path) -> list[File]:
    found = []
    for place, names, entries in os.walk(folder):
        here = Path(place)
        names[:] = [name for name in names if not _is_ours(here / name, folder)]
        for name in entries:
            path = here / name
            try:
                status = path.lstat()
            except OSError:
                continue
            if not path.is_symlink() and not _is_ours(path, folder):
                found.append(File(path, status.st_blocks * _BLOCK))
    return found


def _is_ours(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).as_posix() in _OURS
