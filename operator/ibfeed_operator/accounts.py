"""Which paper account each worker gets. Pure.

A worker keeps its account over restarts. A new one gets the lowest index that is free: not parked (only a person can
help it), not given to another worker of any feed on the same source, and not held by anybody else's Lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ibfeed_operator.facts import AccountLease
from ibfeed_operator.liveness import LEASE_EXPIRY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """``index`` is None when no account is left. ``parked``: the index that this worker had to give up, if any."""

    index: int | None
    parked: int | None = None


def choose(
    workers: Mapping[str, int | None], indices: range, leases: Iterable[AccountLease], elsewhere: Iterable[int] = ()
) -> dict[str, Choice]:
    """Choose an index of ``indices`` for each of ``workers`` (pod name to its present index).

    ``elsewhere``: indices that other feeds' workers have on this source. Earlier entries of ``workers`` choose first,
    but nobody takes what another one keeps.
    """
    by_index = {lease.index: lease for lease in leases}
    taken = set(elsewhere)
    choices: dict[str, Choice] = {}
    wanting: list[str] = []
    for name, index in workers.items():
        if index is not None and index in indices and index not in taken and _usable(by_index.get(index), name):
            taken.add(index)
            choices[name] = Choice(index=index)
        else:
            wanting.append(name)
    for name in wanting:
        present = workers[name]
        lease = by_index.get(present) if present is not None else None
        parked = present if lease is not None and lease.parked else None
        free = next((i for i in indices if i not in taken and _usable(by_index.get(i), name)), None)
        if free is None and present in indices and present not in taken:
            free, parked = present, None  # nothing better: it waits for this one to be freed or reset
        if free is not None:
            taken.add(free)
        choices[name] = Choice(index=free, parked=parked)
    return {name: choices[name] for name in workers}


def _usable(lease: AccountLease | None, pod: str) -> bool:
    if lease is None:
        return True
    if lease.parked:
        return False
    held_by_other = bool(lease.holder) and lease.holder.rsplit("_", 1)[0] != pod
    return not held_by_other or lease.renew_seen_age_s >= LEASE_EXPIRY_S
