"""The market data lines of the accounts during hand-overs: which are free, and which will be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Final

from ibfeed_api.shard import ContractState, Entry, EntryState
from ibfeed_operator.planning.handover_state import HandoverState

# States of a Standby contract for which IB has answered: there is nothing more to wait for.
_SETTLED: Final = frozenset({ContractState.WARM, ContractState.REFUSED})


class AccountLines:
    """The lines of a feed's accounts.

    Args:
        goal: by conid the worker that shall have the contract; None: it shall be nowhere.
        arriving: by worker, how many contracts it shall have and has no line for yet.
        dropped: entries that go in this step, each with its worker.

    ``used`` counts each worker's lines, ``warming`` its new subscriptions of planned moves; the hand-over adds to both,
    and takes from ``arriving`` what has got its line.
    """

    def __init__(
        self,
        state: HandoverState,
        goal: Callable[[int], int | None],
        arriving: Counter[int],
        dropped: Iterable[tuple[int, Entry]] = (),
    ) -> None:
        self._state: Final = state
        self._goal: Final = goal
        self.arriving: Final = arriving
        # A retiring contract keeps its line until its entry goes; only a dead process has none.
        self.used: Final = {
            worker: sum(not (holding.silent and entry.state is EntryState.RETIRING) for entry in holding.entries)
            for worker, holding in state.holdings.items()
        }
        for worker, _ in dropped:
            self.used[worker] -= 1
        self.warming: Final = Counter(
            worker
            for placed in (*state.placed.values(), *state.hot.values())
            for worker, entry in placed.items()
            if entry.state is EntryState.STANDBY and self._soon_warm(worker, entry)
        )
        self._free: Final = self._find_free()

    def becomes_free(self, worker: int) -> bool:
        """Whether a worker has a line to spare, or will, without another worker's breaking off first."""
        return worker in self._free

    def has_room(self, worker: int, *, for_one_at_rest: bool = False) -> bool:
        """Whether a worker has a line; ``for_one_at_rest``: that no contract on its way there needs."""
        wanted = self.arriving[worker] if for_one_at_rest else 0
        return self.used[worker] + wanted < self._state.holdings[worker].lines

    def beyond(self, worker: int) -> set[int]:
        """Workers that must take something before ``worker`` has a line to spare."""
        found: set[int] = set()
        todo = [worker]
        while todo:
            goals = {goal for goal in self._outward[todo.pop()] if goal in self._state.holdings} - found
            found |= goals
            todo.extend(goals)
        return found

    def _find_free(self) -> set[int | None]:
        """Workers that have a line to spare, or will, without anybody's having to break off first."""
        found: set[int | None] = {None, *(worker for worker in self._state.holdings if self.has_room(worker))}
        if len(found) > len(self._state.holdings):
            return found
        while more := {worker for worker, goals in self._outward.items() if goals & found} - found:
            found |= more
        return found

    @cached_property
    def _outward(self) -> dict[int, set[int | None]]:
        """By worker, where contracts that are Active there are to go. None: nowhere, or one retires already."""
        outward: dict[int, set[int | None]] = {worker: set() for worker in self._state.holdings}
        for conid, placed in self._state.placed.items():
            target = self._goal(conid)
            for worker, entry in placed.items():
                if entry.state is EntryState.RETIRING:
                    outward[worker].add(None)
                elif entry.state is EntryState.ACTIVE and worker != target:
                    outward[worker].add(target)
        return outward

    def _soon_warm(self, worker: int, standby: Entry) -> bool:
        """Whether it is a matter of moments: IB sends a contract's present state at once, if anybody hears of it."""
        placed = self._state.placed.get(standby.conid, {}).items()
        live = any(
            entry.state is EntryState.ACTIVE and self._state.says(owner, entry, ContractState.PUBLISHING)
            for owner, entry in placed
        )
        report = self._state.report(worker, standby)
        return live and (report is None or report.state not in _SETTLED)
