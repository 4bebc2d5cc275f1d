"""Remembers which contracts IB lately refused to which accounts, so that other accounts get them. Pure.

IB answers a subscription with an error in three cases: the account's market data lines are used up elsewhere, it has no
right to the exchange's data, or IB knows no such contract. The texts of these errors are not documented. So the answers
to other accounts tell the cases apart: a contract goes to the account that IB does send it to.

Times are in monotonic seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ibfeed_api.shard import ContractState
from ibfeed_operator.planning.handover_state import Holding

REMEMBER_S: Final = 900.0  # after so long the account may be tried again
MANY: Final = 3  # an account that was refused so many contracts counts as full

_SENT: Final = frozenset({ContractState.PUBLISHING, ContractState.WARM})


class Refusals:
    """The refusals to the workers of one feed. A new operator learns them again, by one subscription for each."""

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], float] = {}  # conid and worker -> when IB was last seen to refuse

    def observe(self, holdings: Iterable[Holding], now: float) -> None:
        """Take in what the workers report of their contracts. Refusals older than ``REMEMBER_S`` are dropped."""
        self._at = {pair: at for pair, at in self._at.items() if now - at < REMEMBER_S}
        for holding in holdings:
            epochs = {entry.conid: entry.epoch for entry in holding.entries}
            for report in holding.reports:
                if not holding.streaming or report.epoch != epochs.get(report.conid):
                    continue
                if report.state is ContractState.REFUSED:
                    self._at[report.conid, holding.worker] = now
                elif report.state in _SENT:
                    self._at.pop((report.conid, holding.worker), None)

    def by_contract(self) -> Mapping[int, frozenset[int]]:
        """Return, by conid, the workers to whose accounts IB refuses the contract."""
        found: dict[int, set[int]] = {}
        for conid, worker in self._at:
            found.setdefault(conid, set()).add(worker)
        return {conid: frozenset(workers) for conid, workers in found.items()}

    def full(self) -> frozenset[int]:
        """Return the workers whose accounts get no further contracts while other accounts have room."""
        count = Counter(worker for _, worker in self._at)
        return frozenset(worker for worker, times in count.items() if times >= MANY)
