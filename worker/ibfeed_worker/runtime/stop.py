"""The order to stop."""

from __future__ import annotations

import asyncio


class Stop:
    """The order to stop.

    The first one sets ``asked``; the second sets ``at_once``, for its sender does not want to wait.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def order(self) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()
