"""The order books of the shard: the one that is published, and the way of its frames to Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from ibfeed_api.log import Log
from ibfeed_api.records import DepthRecord
from ibfeed_api.shard import Entry
from ibfeed_worker.book import CROSSED, conid_of, rows_of
from ibfeed_worker.publish.send_queue import SendQueue
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.frame import Frame
from ibfeed_worker.stream.ladder import Target

_log: Final = Log(__name__)
_AHEAD_AT_MOST_MS: Final = 86_400_000  # of our clock


class Books:
    """The order books of a shard's contracts. An account has one ladder, so one of them is published at a time."""

    def __init__(
        self, contracts: Mapping[int, Contract], send_queue: SendQueue, *, on_dead: Callable[[], None]
    ) -> None:
        """Create the books of ``contracts``, by conid: the streamer's own, which change.

        ``on_dead``: called when the ladder is silent while the quote moves.
        """
        self.unassigned = 0  # frames of a ladder of no contract of ours
        self.rows_unreadable = 0
        self.crossed = 0  # records in which the best bid is not below the best ask
        self.dead = 0  # ladders that were found silent
        self._contracts: Final = contracts
        self._send_queue: Final = send_queue
        self._on_dead: Final = on_dead

    @property
    def target(self) -> Target | None:
        """The contract whose ladder is wanted. The operator gives a shard no more than one."""
        wanted = [
            contract.entry for contract in self._contracts.values() if contract.publishes and contract.entry.depth
        ]
        if not wanted:
            return None
        entry = min(wanted, key=nearness)
        return Target(entry.conid, entry.exchange)

    def settle(self) -> None:
        """Begin the book that is wanted now, stop the others. Records of a contract come before its release."""
        wanted = self.target
        now_ms = _now_ms()
        for conid, contract in self._contracts.items():
            depth = contract.depth
            if wanted is not None and conid == wanted.conid:
                if not depth.on and contract.flows:
                    self._publish(depth, depth.start(now_ms))
            elif depth.on:
                self._publish(depth, depth.stop(now_ms))

    def go_on(self, contract: Contract) -> None:
        """Publish a contract's book in its new epoch, as in the one before."""
        self._publish(contract.depth, contract.depth.start(_now_ms()))

    def renounce(self, contract: Contract) -> None:
        """Void the book that another publisher of the contract may have left on Kafka, unless ours begins now."""
        wanted = self.target
        if wanted is None or wanted.conid != contract.entry.conid:
            self._publish(contract.depth, contract.depth.renounce(_now_ms()))

    def restart(self) -> None:
        """The ladder was asked for, or ended: rows that came before are void."""
        now_ms = _now_ms()
        for contract in self._contracts.values():
            self._publish(contract.depth, contract.depth.restart(now_ms))

    def refused(self, conid: int, text: str) -> bool:
        """IB refuses a ladder, in these words; return whether that is new."""
        contract = self._contracts.get(conid)
        if contract is None or contract.depth.refusal == text:
            return False
        _log.warning("IB refuses an order book", conid=contract.entry.conid, symbol=contract.entry.symbol, error=text)
        contract.depth.refusal = text
        return True

    def on_frame(self, frame: Frame, received_ns: int) -> bool:
        """Publish a frame's rows; return whether it has any."""
        conid = conid_of(frame.topic)
        contract = None if conid is None else self._contracts.get(conid)
        if contract is None:
            self.unassigned += 1
            return False
        found = rows_of(bytes(frame.data))
        self.rows_unreadable += found.unplaced + sum(not row.readable for row in found.rows)
        depth = contract.depth
        self._publish(depth, depth.apply(found, _event_time(frame, received_ns)))
        return bool(found.rows)

    def on_move(self, contract: Contract, received_ns: int) -> None:
        """The contract's quote has changed, so rows should come, too."""
        depth = contract.depth
        if depth.book.known and depth.silence.quote(received_ns / 1e9):
            self.dead += 1
            _log.warning(
                "the ladder is silent while the quote moves: asking again",
                conid=contract.entry.conid,
                symbol=contract.entry.symbol,
            )
            self._publish(depth, depth.dead(received_ns // 1_000_000))
            self._on_dead()

    def _publish(self, depth: Depth, record: DepthRecord | None) -> None:
        if record is not None:
            self.crossed += CROSSED in record.flags
            self._send_queue.publish_book(depth.writer, record, lambda: depth.whole(record.event_time))


def nearness(entry: Entry) -> tuple[str, int]:
    """Return the key by which nearer months come first."""
    return entry.contract_month, entry.slot


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _event_time(frame: Frame, received_ns: int) -> int:
    """IB documents no time in ``sbd`` frames: theirs if there is one that can be, else that of their arrival, in ms."""
    received_ms = received_ns // 1_000_000
    time_ = frame.updated
    return time_ if time_ is not None and 0 < time_ < received_ms + _AHEAD_AT_MOST_MS else received_ms
