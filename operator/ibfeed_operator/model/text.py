"""Builds pieces of sentences for people."""

from __future__ import annotations

from collections.abc import Iterable


def clip(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(items: Iterable[str], *, most: int = 6) -> str:
    """Join the first ``most`` items and count the others: ``a, b, c and 12 more``."""
    every = list(items)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
