"""Reads the annotations by which people ask to drain workers and to pin contracts. Pure.

The API server refuses none of them. So an annotation that makes no sense is reported and left out. The others count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.labels import ANNOTATION_DRAIN, ANNOTATION_PIN
from ibfeed_api.symbology import is_month
from ibfeed_api.symbology import symbol as symbol_of
from ibfeed_operator.model.text import clip, listed
from ibfeed_operator.model.types import Contract, Feed, Placement, Shard, Universe

_PIN: Final = re.compile(r"([^=]+)=([0-9]{1,6})", re.ASCII)
_SHOWN: Final = 40  # characters of an annotation in a message


def placement(feed: Feed, universe: Universe, shards: Iterable[Shard]) -> Placement:
    """Read the annotations.

    A pin's symbol counts as unknown only once the universe is resolved. Until then its contract may still appear.
    """
    pins, invalid = _pins(feed, universe)
    drained = set()
    for shard in shards:
        if shard.drain == "true":
            drained.add(shard.worker)
        elif shard.drain not in ("", "false"):
            text = clip(repr(shard.drain), _SHOWN)
            invalid.append(f"{shard.name} is not drained: {ANNOTATION_DRAIN} is {text}, neither true nor false")
    return Placement(pins=pins, drained=frozenset(drained), invalid=tuple(invalid))


def _pins(feed: Feed, universe: Universe) -> tuple[dict[int, int], list[str]]:
    invalid: list[str] = []
    wished: dict[str, set[int]] = {}
    for item in filter(None, re.split(r"[,\s]+", feed.pin)):
        if (match := _PIN.fullmatch(item)) is None:
            invalid.append(f"{ANNOTATION_PIN}: {clip(repr(item), _SHOWN)} is not of the form CLZ6=1")
        else:
            wished.setdefault(match[1], set()).add(int(match[2]))
    by_symbol = _by_symbol(universe)
    pins: dict[int, int] = {}
    for symbol, workers in wished.items():
        shown, worker = clip(symbol, _SHOWN), min(workers)
        meant = by_symbol.get(symbol, [])
        if len(workers) > 1:
            invalid.append(f"{shown} is pinned to {len(workers)} workers: give it one")
        elif worker >= feed.spec.workers:
            invalid.append(f"{shown} is pinned to worker {worker}, but the feed has 0 to {feed.spec.workers - 1}")
        elif len(meant) == 1:
            pins[meant[0].conid] = worker
        elif meant:
            names_ = listed(contract.symbol for contract in meant)
            invalid.append(f"{shown} is pinned, but may be each of {names_}: pin one of these")
        elif universe.resolved:
            invalid.append(f"{shown} is pinned to {shard_name(feed.name, worker)}, but is no contract of this feed")
    return pins, invalid


def _by_symbol(universe: Universe) -> dict[str, list[Contract]]:
    """Return the contracts that a symbol may mean.

    That is the contract with this symbol, else those whose root and month it names, such as DAXZ6.
    """
    found: dict[str, list[Contract]] = {}
    for contract in universe.contracts:
        found.setdefault(contract.symbol, []).append(contract)
    by_root: dict[str, list[Contract]] = {}
    for contract in universe.contracts:
        if is_month(contract.contract_month):
            by_root.setdefault(symbol_of(contract.root, contract.contract_month), []).append(contract)
    return by_root | found
