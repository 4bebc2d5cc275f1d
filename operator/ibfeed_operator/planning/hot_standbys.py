"""The hot standbys in the hand-over: which of them go, which one is an heir, and where new ones are to stand. Pure.

A hot standby is a Standby entry of no move: its worker has the contract subscribed and holds what comes. When the
contract's own worker is lost, the contract becomes Active there, and what Kafka does not have is published from what
was held. A planned move to that worker makes it an ordinary Standby entry.

A standby that is to be somewhere else stays until the new one is warm, unless a line is short or its worker is lost. It
gets its line after every contract that is to be published, and is subscribed when the contract has settled. At a full
worker it makes way for a contract that comes, and is held ready again once another one has left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ibfeed_api.shard import ContractState, Entry, EntryState
from ibfeed_operator.planning.account_lines import AccountLines
from ibfeed_operator.planning.handover_state import HandoverState


class HotStandbys:
    """The hot standbys of a feed.

    Args:
        planned: by conid the worker that shall hold it ready.
        goal: by conid the worker that shall have the contract; None: it shall be nowhere.
    """

    def __init__(self, state: HandoverState, planned: Mapping[int, int], goal: Callable[[int], int | None]) -> None:
        self._state: Final = state
        self._planned: Final = planned
        self._goal: Final = goal
        self._full: Final = {
            worker for worker, holding in state.holdings.items() if len(holding.entries) >= holding.lines
        }

    def superfluous(self, arriving: Mapping[int, int]) -> Iterator[tuple[int, Entry]]:
        """The standbys that are to go, each with its worker: they are needed no more, or make way.

        ``arriving``: by worker, how many contracts it shall have and has no line for yet.
        """
        at_rest: dict[int, list[Entry]] = {}
        gone = Counter[int]()
        for found in self._state.hot.values():
            for worker, entry in found.items():
                if not self._needed(worker, entry):
                    gone[worker] += 1
                    yield worker, entry
                elif self._goal(entry.conid) != worker and self._has_owner(entry.conid):
                    at_rest.setdefault(worker, []).append(entry)
        nearness = {conid: place for place, conid in enumerate(self._planned)}
        for worker, entries in at_rest.items():
            holding = self._state.holdings[worker]
            short = len(holding.entries) - gone[worker] + arriving.get(worker, 0) - holding.lines
            entries.sort(key=lambda entry: nearness.get(entry.conid, len(nearness)), reverse=True)
            yield from ((worker, entry) for entry in entries[: max(short, 0)])

    def heir(self, conid: int) -> int | None:
        """A worker that holds the contract and would go on with it at once."""
        found = self._state.hot.get(conid, {}).items()
        return next((worker for worker, entry in found if self._would_go_on(worker, entry)), None)

    def missing(self, lines: AccountLines, at_once: int) -> Iterator[tuple[int, int]]:
        """The conids that a worker is to hold ready from now on, each with the worker. Counts them in ``lines``.

        ``at_once``: new subscriptions that one account is asked for at a time.
        """
        for conid, worker in self._planned.items():
            if self._state.standing_at(conid, worker) is not None or not self._may_stand(conid, worker):
                continue
            if lines.has_room(worker, for_one_at_rest=True) and lines.warming[worker] < at_once:
                lines.used[worker] += 1
                lines.warming[worker] += 1
                yield conid, worker

    def _needed(self, worker: int, entry: Entry) -> bool:
        conid = entry.conid
        goal, planned = self._goal(conid), self._planned.get(conid)
        if goal is None:
            return False
        if worker in (goal, planned):
            return True
        if not self._has_owner(conid):
            return self._would_go_on(worker, entry)
        if planned is None or worker in self._full or planned in self._full or not self._state.lives(worker):
            return False
        return self._publishes(conid) and self._warms_up(conid, planned)

    def _warms_up(self, conid: int, planned: int) -> bool:
        """Whether the standby that is to replace another one will be there in a moment, but is not yet."""
        if planned not in self._state.holdings or not self._state.lives(planned):
            return False
        there = self._state.standing_at(conid, planned)
        report = self._state.report(planned, there) if there is not None else None
        return report is None or report.state is ContractState.SUBSCRIBING

    def _may_stand(self, conid: int, worker: int) -> bool:
        """Whether ``worker`` can hold a contract ready, which is settled where it shall be."""
        goal, placed = self._goal(conid), self._state.placed.get(conid, {})
        if worker not in self._state.holdings or goal is None or goal == worker or placed.keys() != {goal}:
            return False
        active = placed[goal]
        settled = active.state is EntryState.ACTIVE and self._state.obeys(goal, active)
        return settled and self._state.lives(worker) and not self._state.ends(worker)

    def _would_go_on(self, worker: int, entry: Entry) -> bool:
        return self._state.warm(worker, entry) and not self._state.ends(worker)

    def _has_owner(self, conid: int) -> bool:
        """Whether a worker that has, or had, the contract goes on with it, or can."""
        return any(
            self._state.up(worker, entry, released=True)
            for worker, entry in self._state.placed.get(conid, {}).items()
            if entry.state is not EntryState.STANDBY
        )

    def _publishes(self, conid: int) -> bool:
        return any(
            self._state.says(worker, entry, ContractState.PUBLISHING)
            for worker, entry in self._state.placed.get(conid, {}).items()
        )
