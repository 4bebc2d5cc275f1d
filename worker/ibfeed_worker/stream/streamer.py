"""Websocket, subscriptions, ticks, order books, Kafka for one shard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import msgspec

from ibfeed_api.feed import Kafka
from ibfeed_api.reasons import Reason
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK, DepthRecord, FeedEvent, Tick
from ibfeed_api.shard import ContractState, Entry, EntryState, KafkaStatus, Report
from ibfeed_worker.book import CROSSED, Book, conid_of, rows_of
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.publish import Broker, Connect, PartitionWriter, Publisher, ReadSecrets, Tail, connect, no_secrets
from ibfeed_worker.publish import PublishCounters as Published
from ibfeed_worker.runtime.log import Log
from ibfeed_worker.stream import metrics
from ibfeed_worker.stream.connection import Connection, Link, StreamEnd, Timing
from ibfeed_worker.stream.contract import BOOK_COUNTS_PER_S, Contract, count_after_restart, later_mark
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.dispatcher import FrameCounters
from ibfeed_worker.stream.frame import Frame
from ibfeed_worker.stream.handover_buffer import HandoverBuffer, HeldTick
from ibfeed_worker.stream.ladder import Target
from ibfeed_worker.stream.quote_handler import QuoteHandler
from ibfeed_worker.stream.session_facts import SessionFacts
from ibfeed_worker.stream.staleness import StalenessVerdict
from ibfeed_worker.stream.staleness_monitor import StalenessMonitor
from ibfeed_worker.ticks import Normaliser

_log: Final = Log(__name__)
_FLUSH_S: Final = 8.0
_CLOSE_S: Final = 3.0
_AHEAD_AT_MOST_MS: Final = 86_400_000  # of our clock
# A line that has brought a frame so lately is no dead one: IB sends what is new twice a second at most.
_SURELY_THERE_S: Final = 2.0


class Streamer:
    """Lives as long as the worker's process; sessions come and go. Everything here runs on one event loop."""

    def __init__(
        self,
        *,
        worker: str,
        feed: str,
        kafka: Kafka,
        lines: int,
        on_change: Callable[[], None],
        may_write: Callable[[], bool],
        left_behind: Mapping[int, int] | None = None,
        on_session: Callable[[SessionFacts], None] | None = None,
        hours: Callable[[Entry], Hours] | None = None,
        timing: Timing | None = None,
        read_secrets: ReadSecrets = no_secrets,
        connect: Connect = connect,
    ) -> None:
        """The callbacks run on the event loop, from the reader: they must return at once.

        ``on_change``: reports or Kafka's status are other ones. ``on_session``: IB said something of the session, or
        the feed is no longer ``mute``. ``may_write``: whether the account is ours at this moment. ``left_behind``:
        conid to the epoch under which an earlier process published: that is over. ``hours``: when a contract trades;
        without them silence is not judged. ``read_secrets``: who we are at Kafka.
        """
        self._worker: Final = worker
        self._feed: Final = feed
        self._on_change: Final = on_change
        self._on_session: Final = on_session
        self._timing: Final = timing or Timing()
        self._watch: Final = StalenessMonitor(self._timing.patience, hours or (lambda _: Hours()))
        self._lines = lines
        self._publisher: Final = Publisher(
            worker=worker,
            feed=feed,
            kafka=kafka,
            read_secrets=read_secrets,
            writers=self._writers,
            on_progress=self._on_progress,
            on_status=self._on_kafka,
            may_write=may_write,
            connect=connect,
        )
        self._send_queue: Final = self._publisher.send_queue
        self._contracts: Final[dict[int, Contract]] = {}
        self._quotes: Final = QuoteHandler(
            self._contracts,
            self._send_queue,
            on_stray=self._on_stray,
            on_first=self._confirm,
            on_interrupted=self._take_up,
            on_type=self._on_type,
            on_move=self._watch_ladder,
        )
        self.on_smd: Final = self._quotes.handle
        self._epochs: dict[int, int] = {}  # conid -> the highest epoch seen
        self._sent: dict[int, int] = {}  # conid -> event time of the latest record of the assignments that are over
        self._search: asyncio.Task[None] | None = None
        self._obeyed = False
        self._left_behind: Final = left_behind or {}
        self._connection: Connection | None = None
        self._session = SessionFacts()
        self._counters: Final = FrameCounters()
        self._outgrown = 0
        self._unassigned = 0  # frames of a ladder of no contract of ours
        self._rows_unreadable = 0
        self._books_crossed = 0
        self._ladders_dead = 0
        self.collector: Final = metrics.StreamCollector(self._reading)
        self.kafka_collector: Final = self._publisher.collector

    # Called by the worker.

    async def start(self) -> None:
        """Begin to connect to Kafka. Does not wait for it."""
        await self._publisher.start()

    async def close(self) -> None:
        """Wait a few seconds for Kafka's acknowledgements, then end."""
        if self._search is not None:
            self._search.cancel()
            await asyncio.gather(self._search, return_exceptions=True)
        await self._publisher.close(_CLOSE_S)

    def obey(self, entries: tuple[Entry, ...], lines: int | None = None) -> None:
        """Take over what the operator wants. An entry of an epoch that is over is ignored."""
        if lines is not None:
            self._lines = lines
        wanted = {entry.conid: entry for entry in entries}
        for conid in self._contracts.keys() - wanted.keys():
            self._drop(self._contracts.pop(conid))
        for entry in entries:
            self._obey(entry)
        self._settle_books()
        self._let_go_of_stalled()
        for contract in self._contracts.values():
            self._release_if_idle(contract)
        self._obeyed = True
        self._look()
        self._changed()

    async def stream(self, link: Link) -> StreamEnd:
        """One life of the websocket; returns why it ended. Cancel it to end it."""
        connection = Connection(self, self._counters, self._timing)
        self._connection = connection
        self._session = SessionFacts()
        self._watch.begin_connection(time.time())
        try:
            end = replace(await connection.run(link), silent_in_a_row=self._watch.silent_in_a_row)
            _log.warning("the stream ended", reason=end.reason, text=end.text)
            self._tell("session", None, f"{end.reason}: {end.text}")
            return end
        finally:
            self._connection = None
            for contract in self._contracts.values():
                contract.disconnected()
                contract.subscribed_s = None
            self.on_ladder()
            self._changed()

    async def release(self, limit: float = _FLUSH_S) -> None:
        """Stop publishing, wait at most ``limit`` seconds for Kafka, report ``released``, unsubscribe.

        A contract that Kafka has not answered for stays unreleased. A released contract goes on only with a
        higher epoch.
        """
        for contract in self._contracts.values():
            contract.retiring = True
        self._settle_books()
        for contract in self._contracts.values():
            self._release_if_idle(contract)
        before = time.monotonic()
        if self._search is not None:
            await asyncio.wait({self._search}, timeout=limit)
        for contract in self._contracts.values():
            contract.taking_over = False  # whose tail was not found is left to whoever comes next
            self._release_if_idle(contract)
        await self._publisher.settle(max(0.0, limit - (time.monotonic() - before)))
        if self._connection is not None:
            self._connection.unsubscribe_all()
        for contract in self._contracts.values():
            contract.disconnected("this worker gave its account back")
        self._changed()

    def cut_off(self) -> None:
        """The account is lost: another worker may publish our contracts in a moment.

        Records that Kafka has not answered for are given up, without a word to it. Each contract is released, with no
        mark, and goes on only with a higher epoch.
        """
        self._publisher.give_up(self._writers(), "the account's Lease was lost")
        for contract in self._contracts.values():
            if contract.entry.state is not EntryState.STANDBY:
                self._abandon(contract)
                contract.cut_off()
                self._release_if_idle(contract)
        self._changed()

    def reports(self) -> tuple[Report, ...]:
        """One for each contract, by conid."""
        now_s = time.time()
        return tuple(contract.report(now_s) for _, contract in sorted(self._contracts.items()))

    def remark(self) -> tuple[Reason, str] | None:
        """The worst trouble of single contracts while the session is well."""
        now_s = time.time()
        told = {ContractState.REFUSED: Reason.SUBSCRIPTION_REFUSED, ContractState.SILENT: Reason.CONTRACT_SILENT}
        found = [contract for contract in self._contracts.values() if contract.state in told]
        if not found:
            return None
        first = min(found, key=lambda contract: list(told).index(contract.state))
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return told[first.state], f"{first.entry.symbol}{others}: {first.why(now_s)}"

    def kafka_status(self) -> KafkaStatus:
        return self._publisher.status

    @property
    def published(self) -> Published:
        """Counters of records given to Kafka, and of their fates."""
        return self._send_queue.counters

    @property
    def broker(self) -> Broker | None:
        """Kafka, while it takes records."""
        return self._send_queue.broker

    def market_data_types(self) -> dict[int, str]:
        """By conid the latest 6509, of those of which IB has sent one."""
        return {conid: c.data_type for conid, c in self._contracts.items() if c.data_type is not None}

    @property
    def mute(self) -> bool:
        """Whether the feed was found silent as a whole, and has not spoken since; whatever IB says of the session."""
        return self._watch.mute

    @property
    def owes(self) -> bool:
        """Whether anything is ours to publish, or not released yet."""
        return any(c.publishes or (c.retiring and not c.released) for c in self._contracts.values())

    @property
    def lines_used(self) -> int:
        return self._connection.subscribed if self._connection else 0

    @property
    def last_tick(self) -> float | None:
        """When the latest frame of one of our contracts came, in seconds since 1970."""
        latest_ns = self._quotes.latest_ns
        return None if latest_ns is None else latest_ns / 1e9

    @property
    def market_data_live(self) -> bool | None:
        """Whether IB marks all contracts' data as real time; None while it has said nothing of any."""
        said = [live for c in self._contracts.values() if c.confirmed and (live := c.normaliser.live) is not None]
        return all(said) if said else None

    # Called by the connection.

    @property
    def lines(self) -> int:
        return self._lines

    def desired(self) -> Sequence[int]:
        """Contracts to publish first, then nearer months: they keep their lines if there are too few.

        A released contract stays: while its entry is there, the move may yet turn back.
        """
        kept = sorted(
            self._contracts.values(), key=lambda contract: (not contract.publishes, _nearness(contract.entry))
        )
        return [contract.entry.conid for contract in kept]

    def desired_ladder(self) -> Target | None:
        """An account has one; the operator gives a shard no more."""
        wanted = [c.entry for c in self._contracts.values() if c.publishes and c.entry.depth]
        if not wanted:
            return None
        entry = min(wanted, key=_nearness)
        return Target(entry.conid, entry.exchange)

    def on_subscribed(self, conids: Sequence[int]) -> None:
        now_s = time.time()
        for conid in conids:
            contract = self._contracts[conid]
            contract.disconnected("there was no line for it")  # if it was ever confirmed on this connection
            contract.subscribed_s = contract.subscribed_s or now_s
            contract.normaliser.restart()

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
        mute = self._watch.mute
        verdict = self._watch.look(self._contracts, subscribed, time.time())
        if verdict.died or verdict.unproven:
            self._tell_states()
        if mute and not self._watch.mute:
            self._say_session()
        return verdict

    def on_ladder(self) -> None:
        now_ms = _now_ms()
        for contract in self._contracts.values():
            self._publish_book(contract.depth, contract.depth.restart(now_ms))

    def on_session(self, facts: SessionFacts) -> None:
        if facts != self._session:
            self._session = facts
            self._tell("session", None, _describe(facts))
        self._say_session()

    def _say_session(self) -> None:
        if self._on_session is not None:
            self._on_session(self._session)

    def _on_stray(self, conid: int) -> None:
        if self._connection is not None:
            self._connection.on_stray(conid)

    def on_refused(self, conid: int, text: str) -> None:
        contract = self._contracts.get(conid)
        if contract is not None:
            _log.warning("IB refuses a subscription", symbol=contract.entry.symbol, error=text)
            contract.refused(text)
            self._tell_state(contract)

    def on_ladder_refused(self, conid: int, text: str) -> None:
        contract = self._contracts.get(conid)
        if contract is not None and contract.depth.refusal != text:
            _log.warning("IB refuses an order book", symbol=contract.entry.symbol, error=text)
            contract.depth.refusal = text
            self._changed()

    def _confirm(self, contract: Contract, received_ns: int) -> None:
        contract.confirm(received_ns)
        if self._connection is not None:
            self._connection.confirmed(contract.entry.conid)
        asyncio.get_running_loop().call_later(self._timing.overlap, self._overlap, contract.entry.conid, received_ns)
        self._tell_state(contract)
        mute = self._watch.mute
        self._watch.heard()
        if mute:
            self._say_session()

    def _overlap(self, conid: int, since_ns: int) -> None:
        contract = self._contracts.get(conid)
        if contract is not None and contract.confirmed and contract.confirmed_ns == since_ns:
            contract.overlaps = True
            self._tell_state(contract)

    def _take_up(self, contract: Contract, tick: Tick, before: int | None) -> None:
        """``before``: that of `_publish`."""
        why, contract.interrupted = contract.interrupted, ""
        if why:
            contract.broke_s = contract.last_frame_s
        if contract.flows:
            self._publish(contract, tick, why, before)
        else:
            self._outgrown += contract.held.add(HeldTick(tick, why, before))

    def on_sbd(self, frame: Frame, received_ns: int) -> bool:
        conid = conid_of(frame.topic)
        contract = None if conid is None else self._contracts.get(conid)
        if contract is None:
            self._unassigned += 1
            return False
        found = rows_of(bytes(frame.data))
        self._rows_unreadable += found.unplaced + sum(not row.readable for row in found.rows)
        depth = contract.depth
        self._publish_book(depth, depth.apply(found, _event_time(frame, received_ns)))
        return bool(found.rows)

    # Called by the publisher.

    def _on_progress(self, writer: PartitionWriter) -> None:
        contract = self._contracts.get(writer.conid)
        if contract is not None and writer in (contract.writer, contract.depth.writer, contract.former):
            self._release_if_idle(contract)
            self._tell_state(contract)

    def _on_kafka(self) -> None:
        self._look()
        self._let_go_of_stalled()
        self._tell_states()
        self._on_change()

    def _writers(self) -> list[PartitionWriter]:
        """All that may have records on their way."""
        return [writer for contract in self._contracts.values() for writer in contract.writers]

    def _let_go_of_stalled(self) -> None:
        """Give up contracts that another worker is to go on with, while Kafka takes nothing of ours.

        Unacknowledged records are not waited for; the heir finds out how far Kafka has the contract.
        """
        unreachable = self._publisher.status.reachable is False
        stuck = [contract for contract in self._contracts.values() if contract.is_stuck(unreachable=unreachable)]
        for contract in stuck:
            self._abandon(contract)
            contract.cut_off()
        if any(not writer.idle for contract in stuck for writer in contract.writers):
            writers = [writer for contract in stuck for writer in contract.writers]
            self._publisher.give_up(writers, "others are to publish what Kafka does not acknowledge")
        for contract in stuck:
            self._release_if_idle(contract)

    # Assignment.

    def _obey(self, entry: Entry) -> None:
        highest = self._epochs.get(entry.conid, 0)
        known = self._contracts.get(entry.conid)
        if entry.epoch < highest:
            return
        if known is None or entry.epoch > known.entry.epoch:
            self._begin(entry, known, began_before=not self._obeyed or entry.epoch == highest)
        elif not known.retiring:
            standby = known.entry.state is EntryState.STANDBY
            known.entry = entry
            known.retiring = entry.state is EntryState.RETIRING
            if standby and known.publishes:
                known.learn(entry.mark)
                self._take_over(known, knows=entry.mark is not None)

    def _begin(self, entry: Entry, former: Contract | None, *, began_before: bool) -> None:
        """``began_before``: records of this epoch may be on Kafka that we do not know of; a mark is older than they."""
        now_s = time.time()
        if former is not None:
            interrupted = former.interrupted
        elif not self._obeyed:
            interrupted = "this worker's process started"
        else:
            interrupted = "the contract came to this worker"
        if former is not None:
            self._abandon(former)
        contract = Contract(
            entry,
            writer=self._writer(entry, SCHEMA_TICK),
            normaliser=former.normaliser if former else Normaliser(entry.conid, entry.symbol),
            count=count_after_restart(now_s, entry.epoch) if began_before else 0,
            interrupted=interrupted,
            depth=Depth(
                former.depth.book if former else Book(entry.conid, entry.symbol),
                writer=self._writer(entry, SCHEMA_DEPTH),
                count=count_after_restart(now_s, entry.epoch, BOOK_COUNTS_PER_S) if began_before else 0,
            ),
            held=former.held if former else HandoverBuffer(),
            mark=later_mark(entry.mark, former.mark if former else None),
            own=self._sent.get(entry.conid),
            fresh=entry.fresh and not began_before,
        )
        if former is not None:
            contract.confirmed, contract.confirmed_ns = former.confirmed, former.confirmed_ns
            contract.overlaps = former.overlaps
            contract.last_frame_ns = former.last_frame_ns
            contract.broke_s, contract.silent_since = former.broke_s, former.silent_since
            contract.refusal = former.refusal
            contract.data_type = former.data_type
            contract.former = former.writer if former.writer.used else former.former
            contract.writer.follow(former.writer)
            contract.begin_behind(former.next_seq - 1)
            contract.depth.begin_behind(former.depth.last_seq)
        elif self._connection is not None:
            self._connection.renew(entry.conid)
        self._contracts[entry.conid] = contract
        self._epochs[entry.conid] = entry.epoch
        if self._left_behind.get(entry.conid) == entry.epoch:
            contract.retiring = True
        if contract.publishes:
            went_on = former is not None and former.flows
            self._take_over(contract, knows=went_on or (entry.mark is not None and not began_before))
            if contract.flows and former is not None and former.depth.on:
                self._publish_book(contract.depth, contract.depth.start(_now_ms()))
        else:
            standby = entry.state is EntryState.STANDBY
            contract.unsure = standby or began_before or (former is not None and former.unsure)

    def _take_over(self, contract: Contract, *, knows: bool) -> None:
        """Publish from now on; if nobody ``knows`` how far Kafka has the contract, as soon as Kafka has told."""
        self._tell("assigned", contract, "")
        if knows:
            self._go_on(contract)
        else:
            contract.unsure = contract.taking_over = True

    def _go_on(self, contract: Contract, doubt: str = "") -> None:
        for tick, why, after in contract.go_on(doubt):
            self._publish(contract, msgspec.structs.replace(tick, seq=contract.next_seq), why, after)

    def _publish(self, contract: Contract, tick: Tick, why: str, before: int | None) -> None:
        """``why``: what says that updates may be missing between ``before`` (event time, ms) and this tick."""
        contract.count += 1
        if why:
            self._tell("gap", contract, why, from_ms=before, to_ms=tick.event_time)
        self._send_queue.publish(contract.writer, tick)

    def _look(self) -> None:
        """Ask Kafka for all contracts that wait for it, in one go; new ones after the others, it takes longer."""
        waiting = [contract for contract in self._contracts.values() if contract.taking_over]
        known = [contract for contract in waiting if not contract.fresh]
        if waiting and self._search is None and self._publisher.status.reachable:
            self._search = asyncio.create_task(self._find(known or waiting, anywhere=not known), name="tail")

    async def _find(self, contracts: Sequence[Contract], *, anywhere: bool) -> None:
        """``anywhere``: nobody remembers anything of them."""
        writers = [contract.writer for contract in contracts]
        try:
            tails = await self._publisher.tails(writers, anywhere=anywhere)
        except Exception as error:  # noqa: BLE001 - whatever it is, these contracts must not wait for ever
            _log.error("Kafka's tail could not be searched", error=f"{type(error).__name__}: {error}")
            tails = dict.fromkeys(writers, Tail(None, f"the search failed: {type(error).__name__}"))
        finally:
            self._search = None
        for contract in contracts:
            if contract.taking_over and self._contracts.get(contract.entry.conid) is contract:
                self._found(contract, tails[contract.writer])
                self._release_if_idle(contract)
        self._settle_books()
        self._look()
        self._changed()

    def _found(self, contract: Contract, tail: Tail) -> None:
        contract.learn(tail.mark)
        if tail.epoch >= contract.entry.epoch:
            contract.wait_for_epoch(tail.epoch)
            _log.warning(
                "Kafka has a contract under an epoch that is not below ours: waiting for a higher one",
                symbol=contract.entry.symbol,
                epoch=contract.entry.epoch,
                on_kafka=tail.epoch,
            )
            return
        doubt = ""
        if tail.doubt and not contract.fresh:
            doubt = f"what was published last is not known: {tail.doubt}"
            _log.warning("a contract is taken over blindly", symbol=contract.entry.symbol, doubt=tail.doubt)
        elif tail.mark is None:
            contract.never_published()
        self._go_on(contract, doubt)
        wanted = self.desired_ladder()
        begins = wanted is not None and wanted.conid == contract.entry.conid
        if not begins and not contract.fresh:  # who released it has ended its book before, who died has not
            self._publish_book(contract.depth, contract.depth.renounce(_now_ms()))

    def _drop(self, contract: Contract) -> None:
        self._abandon(contract)
        if contract.entry.state is not EntryState.STANDBY and not contract.released:
            self._tell("released", contract, "taken away by the operator")

    def _abandon(self, contract: Contract) -> None:
        """Its epoch is over. Ticks that were not given to Kafka are held, in case that we go on."""
        if isinstance(contract.writer.waiting, Tick):
            contract.held.put_back(contract.writer.waiting)
        self._send_queue.abandon(contract.writer)
        self._send_queue.abandon(contract.depth.writer)
        if contract.sent is not None:
            self._sent[contract.entry.conid] = contract.sent

    def _writer(self, entry: Entry, schema: str) -> PartitionWriter:
        return self._publisher.writer(entry.conid, entry.symbol, slot=entry.slot, epoch=entry.epoch, schema=schema)

    def _release_if_idle(self, contract: Contract) -> None:
        if not contract.released and contract.release_if_idle():
            mark = contract.mark
            unknown = "how far is not known" if contract.unsure else "nothing was published"
            self._tell("released", contract, f"up to {mark.event_time}" if mark else unknown)
            self._changed()

    # Order books.

    def _settle_books(self) -> None:
        """Begin the book that is wanted now, stop the others. Records of a contract come before its release."""
        wanted = self.desired_ladder()
        now_ms = _now_ms()
        for conid, contract in self._contracts.items():
            depth = contract.depth
            if wanted is not None and conid == wanted.conid:
                if not depth.on and contract.flows:
                    self._publish_book(depth, depth.start(now_ms))
            elif depth.on:
                self._publish_book(depth, depth.stop(now_ms))

    def _publish_book(self, depth: Depth, record: DepthRecord | None) -> None:
        if record is not None:
            self._books_crossed += CROSSED in record.flags
            self._send_queue.publish_book(depth.writer, record, lambda: depth.whole(record.event_time))

    def _watch_ladder(self, contract: Contract, received_ns: int) -> None:
        """The contract's quote has changed: rows should come, too."""
        depth = contract.depth
        if depth.book.known and depth.silence.quote(received_ns / 1e9):
            self._ladders_dead += 1
            _log.warning("the ladder is silent while the quote moves: asking again", symbol=contract.entry.symbol)
            self._publish_book(depth, depth.dead(received_ns // 1_000_000))
            if self._connection is not None:
                self._connection.renew_ladder()

    # Telling.

    def _tell_state(self, contract: Contract) -> None:
        if contract.state is not contract.told:
            self._changed()

    def _tell_states(self) -> None:
        if any(contract.state is not contract.told for contract in self._contracts.values()):
            self._changed()

    def _changed(self) -> None:
        for contract in self._contracts.values():
            contract.told = contract.state
        if self._connection is not None:
            self._connection.nudge()
        self._on_change()

    def _on_type(self, contract: Contract, after: str) -> None:
        before, contract.data_type = contract.data_type, after
        if before is None or before[0] != after[0]:
            if before is not None:
                self._tell("market_data_type", contract, f"{before} to {after}")
            self._on_change()

    def _tell(
        self,
        kind: Literal["assigned", "released", "gap", "session", "market_data_type"],
        contract: Contract | None,
        detail: str,
        *,
        from_ms: int | None = None,
        to_ms: int | None = None,
    ) -> None:
        entry = contract.entry if contract else None
        event = FeedEvent(
            kind=kind,
            feed=self._feed,
            worker=self._worker,
            at_ms=_now_ms(),
            conid=entry.conid if entry else None,
            symbol=entry.symbol if entry else None,
            epoch=entry.epoch if entry else None,
            from_ms=from_ms,
            to_ms=to_ms,
            detail=detail,
        )
        self._send_queue.event(event, entry.slot if entry else 0)

    def _reading(self) -> metrics.StreamReading:
        return metrics.StreamReading(
            stream=self._counters,
            publish=self._send_queue.counters,
            withheld=self._quotes.withheld,
            outgrown=self._outgrown,
            unassigned=self._quotes.unassigned + self._unassigned,
            unreadable=self._quotes.unreadable,
            rows_unreadable=self._rows_unreadable,
            books_crossed=self._books_crossed,
            ladders_dead=self._ladders_dead,
            lines_suspected=self._watch.suspected,
            lines_died=self._watch.died,
            lines_dead=self._watch.dead,
            hours_unknown=self._watch.unknown(self._contracts.values(), time.time()),
            lines=self.lines_used,
            backlog=self._send_queue.backlog,
            reachable=self._publisher.status.reachable is True,
            last_tick=self.last_tick,
        )


def _nearness(entry: Entry) -> tuple[str, int]:
    return entry.contract_month, entry.slot


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _event_time(frame: Frame, received_ns: int) -> int:
    """IB documents no time in ``sbd`` frames: theirs if there is one that can be, else that of their arrival, in ms."""
    received_ms = received_ns // 1_000_000
    time_ = frame.updated
    return time_ if time_ is not None and 0 < time_ < received_ms + _AHEAD_AT_MOST_MS else received_ms


def _describe(facts: SessionFacts) -> str:
    said = {
        "connected": facts.connected,
        "authenticated": facts.authenticated,
        "competing": facts.competing,
    }
    words = [f"{name}: {str(value).lower()}" for name, value in said.items() if value is not None]
    return ", ".join([*words, facts.message] if facts.message else words)
