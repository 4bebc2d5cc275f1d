"""Chooses the members that each worker asks when it can't renew its Lease (``ibfeed_api/failsafe.py``). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ibfeed_api.failsafe import Member

# To either side. With the operator that makes five to ask, of which one may be silent. More would make each question
# dearer and each answer less likely.
REACH: Final = 2


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker that can be a member. ``node``: on which its pod runs."""

    member: Member
    node: str


def members_of(peers: Mapping[int, Peer], operator: Member | None) -> dict[int, tuple[Member, ...]]:
    """Return the members of each worker: the operator, and its neighbours in a ring.

    The ring makes them mutual: a worker is known to those that it asks. It goes from node to node, so that the loss of
    a node takes few of them. Without an operator that they can ask, workers have no members: the last ones to know of
    a Lease might be lost with its holder, and nobody could take it for an hour.
    """
    if operator is None:
        return dict.fromkeys(peers, ())
    seen: Counter[str] = Counter()
    rank: dict[int, tuple[int, int]] = {}
    for worker in sorted(peers):
        node = peers[worker].node
        rank[worker] = (seen[node], worker)
        seen[node] += 1
    ring = sorted(peers, key=lambda worker: rank[worker])
    found = {}
    for place, worker in enumerate(ring):
        near = {ring[(place + step) % len(ring)] for step in range(-REACH, REACH + 1)} - {worker}
        found[worker] = tuple(sorted({operator, *(peers[other].member for other in near)}))
    return found
