"""The subscriber: it keeps a shard's contracts subscribed at IB, and hands on what a connection brings of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ibfeed_api.log import Log
from ibfeed_api.shard import Entry
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.stream.books import Books, nearness
from ibfeed_worker.stream.connection import Connection, Link, StreamEnd, Timing
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.dispatcher import FrameCounters
from ibfeed_worker.stream.event_log import EventLog
from ibfeed_worker.stream.ladder import Target
from ibfeed_worker.stream.quote_handler import QuoteHandler
from ibfeed_worker.stream.recorder import NO_RECORDER, Recorder
from ibfeed_worker.stream.session_facts import SessionFacts
from ibfeed_worker.stream.staleness import StalenessVerdict
from ibfeed_worker.stream.staleness_monitor import StalenessMonitor
from ibfeed_worker.stream.takeover import Takeover

_log: Final = Log(__name__)
# A line that has brought a frame so lately is no dead one: IB sends what is new twice a second at most.
_SURELY_THERE_S: Final = 2.0


class Subscriber:
    """One for the worker's whole life; connections come and go, one at a time. It is the connection's ``Sink``."""

    def __init__(
        self,
        contracts: dict[int, Contract],
        send_queue: SendQueue,
        *,
        lines: int,
        timing: Timing,
        books: Books,
        takeover: Takeover,
        events: EventLog,
        hours: Callable[[Entry], Hours],
        on_states: Callable[[], None],
        on_change: Callable[[], None],
        on_session: Callable[[SessionFacts], None],
    ) -> None:
        """Create the subscriber of ``contracts``, by conid: the streamer's own, which change.

        Args:
            lines: the number of contracts that the account may have subscribed.
            hours: when a contract trades; without them silence is not judged.
            on_states: called when contracts' states may be other ones.
            on_change: called when anything else that is reported is another one.
            on_session: called when IB said something of the session, or the feed is no longer ``mute``.
        """
        self.lines = lines
        self.recorder: Recorder = NO_RECORDER  # of raw frames
        self.staleness: Final = StalenessMonitor(timing.patience, hours)
        self.counters: Final = FrameCounters()
        self.quotes: Final = QuoteHandler(
            contracts,
            send_queue,
            on_stray=self._on_stray,
            on_first=self._confirm,
            on_interrupted=takeover.on_tick,
            on_type=self._on_type,
            on_move=books.on_move,
        )
        self.on_smd: Final = self.quotes.handle
        self.on_sbd: Final = books.on_frame
        self.on_ladder: Final = books.restart
        self._contracts: Final[Mapping[int, Contract]] = contracts
        self._timing: Final = timing
        self._books: Final = books
        self._events: Final = events
        self._on_states: Final = on_states
        self._on_change: Final = on_change
        self._on_session: Final = on_session
        self._connection: Connection | None = None
        self._session = SessionFacts()

    # Called by the streamer.

    async def run(self, link: Link) -> StreamEnd:
        """One life of the websocket; returns why it ended. Cancel it to end it."""
        connection = Connection(self, self.counters, self._timing, self.recorder)
        self._connection = connection
        self._session = SessionFacts()
        self.staleness.begin_connection(time.time())
        try:
            end = replace(await connection.run(link), silent_in_a_row=self.staleness.silent_in_a_row)
            _log.warning("the stream ended", reason=end.reason, text=end.text)
            self._events.write("session", None, f"{end.reason}: {end.text}")
            return end
        finally:
            self._connection = None
            for contract in self._contracts.values():
                contract.connection_lost()
            self._books.restart()
            self._on_change()

    def nudge(self) -> None:
        """Have the desired set looked at again."""
        if self._connection is not None:
            self._connection.nudge()

    def renew(self, conid: int) -> None:
        if self._connection is not None:
            self._connection.renew(conid)

    def renew_ladder(self) -> None:
        if self._connection is not None:
            self._connection.renew_ladder()

    def unsubscribe_all(self) -> None:
        """End every subscription at once, on the way out."""
        if self._connection is not None:
            self._connection.unsubscribe_all()

    @property
    def lines_used(self) -> int:
        return self._connection.subscribed if self._connection else 0

    # Called by the connection.

    def desired(self) -> Sequence[int]:
        """Contracts to publish first, hot standbys last, nearer months first: they keep their lines if there are few.

        A released contract stays: while its entry is there, the move may yet turn back.
        """

        def importance(contract: Contract) -> tuple[bool, bool, tuple[str, int]]:
            return (contract.entry.hot, not contract.publishes, nearness(contract.entry))

        return [contract.entry.conid for contract in sorted(self._contracts.values(), key=importance)]

    def desired_ladder(self) -> Target | None:
        return self._books.target

    def on_subscribed(self, conids: Sequence[int]) -> None:
        now_s = time.time()
        for conid in conids:
            self._contracts[conid].subscribed(now_s)

    def on_renewed(self, conids: Sequence[int]) -> None:
        """A subscription that had ended in silence is there again, without a word.

        Its first frame may hold more than one update. A line that has spoken just now was there.
        """
        now_s = time.time()
        for conid in conids:
            contract = self._contracts.get(conid)
            if contract is not None and now_s - (contract.last_frame_s or 0.0) > _SURELY_THERE_S:
                contract.suspect("IB may have stopped sending before the subscription was renewed")

    def assess_staleness(self, subscribed: Collection[int]) -> StalenessVerdict:
        mute = self.staleness.mute
        verdict = self.staleness.look(self._contracts, subscribed, time.time())
        if verdict.died or verdict.unproven:
            self._on_states()
        if mute and not self.staleness.mute:
            self._on_session(self._session)
        return verdict

    def on_session(self, facts: SessionFacts) -> None:
        if facts != self._session:
            self._session = facts
            self._events.write("session", None, facts.text)
        self._on_session(facts)

    def on_refused(self, conid: int, text: str) -> None:
        contract = self._contracts.get(conid)
        if contract is not None:
            _log.warning(
                "IB refuses a subscription", conid=contract.entry.conid, symbol=contract.entry.symbol, error=text
            )
            contract.refused(text)
            self._on_states()

    def on_ladder_refused(self, conid: int, text: str) -> None:
        if self._books.refused(conid, text):
            self._on_change()

    # Called by the quote handler.

    def _confirm(self, contract: Contract, received_ns: int) -> None:
        contract.confirm(received_ns)
        if self._connection is not None:
            self._connection.confirmed(contract.entry.conid)
        asyncio.get_running_loop().call_later(self._timing.overlap, self._overlap, contract.entry.conid, received_ns)
        self._on_states()
        mute = self.staleness.mute
        self.staleness.heard()
        if mute:
            self._on_session(self._session)

    def _overlap(self, conid: int, since_ns: int) -> None:
        contract = self._contracts.get(conid)
        if contract is not None and contract.overlap(since_ns):
            self._on_states()

    def _on_stray(self, conid: int) -> None:
        if self._connection is not None:
            self._connection.on_stray(conid)

    def _on_type(self, contract: Contract, after: str) -> None:
        before, contract.data_type = contract.data_type, after
        if before is None or before[0] != after[0]:
            if before is not None:
                self._events.write("market_data_type", contract, f"{before} to {after}")
            self._on_change()
