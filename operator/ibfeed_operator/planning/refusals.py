"""Which accounts IB has lately refused contracts, so that these are given to others. Pure; times are monotonic seconds.

IB answers a subscription with an error when the account's market data lines are used up elsewhere, when it has no right
to the exchange's data, or when IB knows no such contract. Its words are not documented, so what others are answered
tells these apart: a contract that another account is sent is that account's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from ibfeed_api.shard import ContractState
from ibfeed_operator.planning.handover_state import Holding

REMEMBER_S: Final = 900.0  # then an account may be asked once more
MANY: Final = 3  # an account that has refused so many is taken for full

_SENT: Final = frozenset({ContractState.PUBLISHING, ContractState.WARM})


class Refusals:
    """Of the workers of one feed. A new operator learns them again, at the price of one question each."""

    def __init__(self) -> None:
        self._at: dict[tuple[int, int], float] = {}  # conid and worker -> when IB was last seen to refuse

    def see(self, holdings: Iterable[Holding], now: float) -> None:
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
        """Conid to the workers whose accounts IB refuses it."""
        found: dict[int, set[int]] = {}
        for conid, worker in self._at:
            found.setdefault(conid, set()).add(worker)
        return {conid: frozenset(workers) for conid, workers in found.items()}

    def full(self) -> frozenset[int]:
        """Workers whose accounts are not given more than they have, while others have room."""
        count = Counter(worker for _, worker in self._at)
        return frozenset(worker for worker, times in count.items() if times >= MANY)
