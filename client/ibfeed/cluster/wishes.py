"""Wishes for the placement: which workers are drained, and which contracts are pinned where. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ibfeed.errors import ObjectError


def worker_number(worker: str) -> tuple[str, int]:
    """Return the feed and the number of a worker such as ``energy-1``.

    Raises:
        ObjectError: it is no name of a worker.
    """
    feed, hyphen, number = worker.rpartition("-")
    if not (feed and hyphen and number.isdecimal() and len(number) <= 6):
        raise ObjectError(f"{worker} is no worker: name a feed and a number, such as energy-1 (see ibfeed status FEED)")
    return feed, int(number)


def pins_of(annotation: str) -> Mapping[str, str]:
    """Return the symbols of a pin annotation, each with its worker's number as it was written."""
    words = (item.partition("=") for item in re.split(r"[,\s]+", annotation) if item)
    return {symbol: number for symbol, _, number in words}


def with_pin(annotation: str, symbol: str, number: int) -> str:
    """Return the annotation with a contract pinned to a worker, and to no other. All else in it stays."""
    return _written({**pins_of(annotation), symbol: str(number)})


def without_pin(annotation: str, symbol: str) -> str | None:
    """Return the annotation without a contract's pin; None: nothing is pinned any more, so it is to go."""
    return _written({one: number for one, number in pins_of(annotation).items() if one != symbol}) or None


def _written(pins: Mapping[str, str]) -> str:
    return ",".join(f"{symbol}={number}" if number else symbol for symbol, number in pins.items())
