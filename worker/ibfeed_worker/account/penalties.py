"""Addresses in IB's penalty box, as the workers of an account source tell each other. Pure.

A 429 is meant for an address, with all workers behind it, and each further request may prolong it. So a worker that
gets one notes in the Lease of the source's logins until when the address is to be silent. It notes this under two
names: the address as IB sees it (``/sso/validate`` tells it), and its node's name. Workers of one node have one
address, and a worker that has not logged in yet knows no other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

LONGEST: Final = timedelta(minutes=30)  # a longer one was written by a wrong clock
_MOST: Final = 64  # addresses; those that end first are dropped
_KEY_LIMIT: Final = 253

Penalties = Mapping[str, datetime]


def parse(text: str, now: datetime) -> Penalties:
    """Return the penalties of an annotation that still hold. An entry that makes no sense counts as absent."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    penalties = {}
    for address, until in found.items() if isinstance(found, dict) else ():
        try:
            moment = datetime.fromisoformat(until)
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is not None and now < moment <= now + LONGEST and len(address) <= _KEY_LIMIT:
            penalties[address] = moment
    return penalties


def added(penalties: Penalties, addresses: Collection[str], until: datetime) -> Penalties:
    """Return the penalties with ``addresses`` silent until then, or longer if they were to be."""
    together = {**penalties, **{address: max(until, penalties.get(address, until)) for address in addresses}}
    return dict(sorted(together.items(), key=lambda item: item[1])[-_MOST:])


def left(penalties: Penalties, addresses: Collection[str], now: datetime) -> timedelta:
    """Return how long one of ``addresses`` is still to be silent."""
    return max([timedelta(), *(until - now for address, until in penalties.items() if address in addresses)])


def text(penalties: Penalties) -> str:
    moments = {address: until.astimezone(UTC).isoformat(timespec="seconds") for address, until in penalties.items()}
    return json.dumps(moments, separators=(",", ":"), sort_keys=True)
