"""The handler of quotes: from a frame to a tick that is handed over, or held, or withheld.

Each frame passes here, so this is one of the compiled modules: no coroutines (ADR 25).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, final

from ibfeed_api.records import Tick
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.ticks import SmdFrame, Withheld

# The outcomes of a full frame that is no later than the latest tick: all later updates are still to come.
_NOTHING_MISSED: Final = (Withheld.REPEATED, Withheld.TIME_WENT_BACK)


@final
class QuoteHandler:
    """The handler of all contracts' quotes. Rare events are left to the streamer."""

    def __init__(
        self,
        contracts: dict[int, Contract],
        send_queue: SendQueue,
        *,
        on_stray: Callable[[int], None],
        on_first: Callable[[Contract, int], None],
        on_interrupted: Callable[[Contract, Tick, int | None], None],
        on_type: Callable[[Contract, str], None],
        on_move: Callable[[Contract, int], None],
    ) -> None:
        """Create the handler; the streamer has one for its whole life.

        Args:
            contracts: by conid; the streamer's own, which changes.
            on_stray: called with the conid of a frame whose contract is not among them.
            on_first: called when IB sends the contract, with when (ns since 1970) the frame came.
            on_interrupted: called with a tick after an interruption or of a contract that does not flow, and the event
                time (ms) of the one before it.
            on_type: called with another field 6509.
            on_move: called when the best bid or ask of a contract whose book is published has changed.
        """
        self.withheld: Final = Counter[Withheld]()
        self.unassigned = 0  # frames without a conid, or of a contract that is not ours
        self.unreadable = 0  # values that were no numbers, of all contracts
        self.latest_ns: int | None = None  # when the latest frame of one of our contracts came
        self._contracts: Final = contracts
        self._send_queue: Final = send_queue
        self._on_stray: Final = on_stray
        self._on_first: Final = on_first
        self._on_interrupted: Final = on_interrupted
        self._on_type: Final = on_type
        self._on_move: Final = on_move

    def handle(self, frame: SmdFrame, received_ns: int) -> None:
        conid = frame.conid if type(frame.conid) is int else frame.contract()
        contract = self._contracts.get(conid) if conid is not None else None
        if contract is None:
            self.unassigned += 1
            if conid is not None:
                self._on_stray(conid)
            return
        self.latest_ns = contract.last_frame_ns = received_ns
        normaliser = contract.normaliser
        unreadable = normaliser.unreadable
        before = normaliser.published_time
        outcome = normaliser.normalise(frame, received_ns, contract.next_seq)
        if isinstance(outcome, Tick):
            if contract.flows and not contract.interrupted:
                contract.count += 1
                self._send_queue.publish(contract.writer, outcome)
            else:
                self._on_interrupted(contract, outcome, before)
        else:
            self.withheld[outcome] += 1
            if outcome in _NOTHING_MISSED:
                contract.interrupted = ""
        if normaliser.unreadable != unreadable:
            self.unreadable += normaliser.unreadable - unreadable
        if frame.market_data_type and (kind := normaliser.market_data_type) and kind != contract.data_type:
            self._on_type(contract, kind)
        if not contract.confirmed:
            self._on_first(contract, received_ns)
        if contract.depth.on and (frame.bid or frame.ask or frame.bid_size or frame.ask_size):
            self._on_move(contract, received_ns)
