"""Sends market data, order books and heartbeats to all websockets. It looks every 50 ms what is due."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from ibfeed_simulator.market.exchange import Exchange, Instrument
from ibfeed_simulator.market.source import CONFLATION
from ibfeed_simulator.venue import account_topics, balances, frames
from ibfeed_simulator.venue.clock import Clock
from ibfeed_simulator.venue.connection import Connection, LadderSubscription, Subscription
from ibfeed_simulator.venue.faults import Condition, Conditions
from ibfeed_simulator.venue.frames import Frame
from ibfeed_simulator.venue.settings import Settings
from ibfeed_simulator.venue.truth import Kind, Receiver, Truth

STEP: Final = 0.05
PHASES: Final = int(CONFLATION / STEP)
HEARTBEAT: Final = 10.0
LIVE: Final = "RpB"
_BARE_EVERY: Final = 200  # of so many changes of an instrument one comes as a bare frame


class Streamer:
    def __init__(
        self, settings: Settings, exchange: Exchange, clock: Clock, conditions: Conditions, truth: Truth
    ) -> None:
        self._settings = settings
        self._exchange = exchange
        self._clock = clock
        self._conditions = conditions
        self._truth = truth
        self._connections: set[Connection] = set()
        self._subscribers: dict[int, set[Connection]] = defaultdict(set)
        self._books: dict[int, set[Connection]] = defaultdict(set)
        self._round = 0

    # Connections and their subscriptions.

    @property
    def connections(self) -> frozenset[Connection]:
        return frozenset(self._connections)

    def of(self, username: str | None) -> list[Connection]:
        """Return the connections with a session: of one user, or all for None."""
        return [c for c in self._connections if c.session is not None and username in (None, c.username)]

    def add(self, connection: Connection) -> None:
        connection.next_heartbeat = asyncio.get_running_loop().time() + HEARTBEAT
        self._connections.add(connection)

    def remove(self, connection: Connection) -> None:
        self.unsubscribe_all(connection)
        self._connections.discard(connection)

    def unsubscribe_all(self, connection: Connection) -> None:
        for conid in list(connection.subscriptions):
            self.unsubscribe(connection, conid)
        self.close_book(connection)

    def lines_used(self, username: str) -> int:
        """Return the lines in use of an account. All its connections share them, and a contract counts once."""
        return len({conid for connection in self.of(username) for conid in connection.subscriptions})

    def subscribe(self, connection: Connection, conid: int, fields: frozenset[str]) -> bool:
        """Add a subscription, or renew it with more fields. The full frame follows at once. False: unknown conid."""
        instrument = self._exchange.instrument(conid)
        if instrument is None:
            return False
        expires = self._clock.now() + self._settings.subscription_seconds
        subscription = connection.subscriptions.get(conid)
        kind: Kind = "full"
        if subscription is None:
            subscription = Subscription(conid, fields, expires, 0)
            connection.subscriptions[conid] = subscription
        else:
            kind = "renewal"
            subscription.fields |= fields
            subscription.expires = expires
            subscription.version = 0
        self._subscribers[conid].add(connection)
        self._exchange.refresh(instrument)
        self._exchange.watch(conid)
        if not self._silenced(connection, conid):
            frame = self._frame(instrument, subscription.fields, 0, connection.username)
            if frame is not None:
                subscription.version = instrument.version
                connection.queue(frame)
                self._record(kind, instrument, frame, [connection])
        connection.flush()
        return True

    def unsubscribe(self, connection: Connection, conid: int) -> bool:
        known = connection.subscriptions.pop(conid, None) is not None
        self._subscribers[conid].discard(connection)
        self._rest(conid)
        return known

    def open_book(self, connection: Connection, topic: str, conid: int) -> bool:
        """Open an order book. All rows come now, and single rows when they change. False: the conid is unknown."""
        instrument = self._exchange.instrument(conid)
        if instrument is None:
            return False
        self.close_book(connection)
        connection.ladder = LadderSubscription(topic, conid)
        self._books[conid].add(connection)
        self._exchange.refresh(instrument)
        self._exchange.watch(conid)
        self._send_rows(connection, instrument)
        connection.flush()
        return True

    def close_book(self, connection: Connection) -> None:
        if connection.ladder is not None:
            conid = connection.ladder.conid
            connection.ladder = None
            self._books[conid].discard(connection)
            self._rest(conid)

    def _rest(self, conid: int) -> None:
        if not self._subscribers[conid] and not self._books[conid]:
            self._exchange.unwatch(conid)

    # The loop.

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += STEP
            pause = due - loop.time()
            if pause < -1:  # the machine was busy or asleep; steps are not made up for
                due, pause = loop.time(), 0
            await asyncio.sleep(max(0, pause))
            self.step(loop.time())

    def step(self, monotonic: float) -> None:
        self._round += 1
        changed = list(self._exchange.moved(self._clock.now()))
        touched: set[Connection] = set()
        if self._settings.mode == "common":
            for instrument in changed:
                self._broadcast(instrument, touched)
        else:
            phase = self._round % PHASES
            for connection in self._connections:
                if connection.phase == phase and connection.session is not None:
                    self._conflate(connection, touched)
        for connection in self._connections:
            if monotonic >= connection.next_heartbeat:
                self._heartbeat(connection, monotonic, touched)
        for connection in touched:
            connection.flush()

    def _heartbeat(self, connection: Connection, monotonic: float, touched: set[Connection]) -> None:
        connection.next_heartbeat = max(connection.next_heartbeat + HEARTBEAT, monotonic)
        if connection.session is None:
            return
        if not self._conditions.quiet and (
            self._conditions.active(Condition.HANG, connection.username)
            or self._conditions.active(Condition.NO_HEARTBEAT, connection.username)
        ):
            return
        connection.queue(Frame.of({"topic": "system", "hb": self._clock.now_ms()}))
        if connection.ledger:  # it comes as often as the heartbeat
            rows = balances.unchanged_ledger(connection.ledger, self._clock.now())
            connection.queue(Frame.of(account_topics.ledger(connection.session.user, rows)))
        touched.add(connection)

    def _broadcast(self, instrument: Instrument, touched: set[Connection]) -> None:
        """Send changes in common mode: at once to all sessions. Each set of fields and last version makes one frame."""
        conid = instrument.contract.conid
        groups: dict[tuple[frozenset[str], int, str, bool], list[Connection]] = defaultdict(list)
        for connection in self._live_subscribers(conid):
            subscription = connection.subscriptions[conid]
            availability, halted = self._flavour(connection.username)
            groups[(subscription.fields, subscription.version, availability, halted)].append(connection)
        for (fields, since, availability, halted), receivers in groups.items():
            frame = frames.market_data(instrument, fields, since, availability, halted)
            for connection in receivers:
                connection.subscriptions[conid].version = instrument.version
            if frame is None:
                continue
            for connection in receivers:
                connection.queue(frame)
            touched.update(receivers)
            self._record("full" if since == 0 else "delta", instrument, frame, receivers)
            if instrument.version % _BARE_EVERY == 0:
                noise = frames.bare(instrument)
                for connection in receivers:
                    connection.queue(noise)
                self._record("bare", instrument, noise, receivers)
        for connection in list(self._books[conid]):
            if not self._silenced(connection, conid) and not connection.congested:
                self._send_rows(connection, instrument)
                touched.add(connection)

    def _live_subscribers(self, conid: int) -> list[Connection]:
        now = self._clock.now()
        live: list[Connection] = []
        for connection in list(self._subscribers[conid]):
            if connection.subscriptions[conid].expires <= now:
                self.unsubscribe(connection, conid)  # without a word, as IB does it
            elif not connection.congested and not self._silenced(connection, conid):
                live.append(connection)
        return live

    def _conflate(self, connection: Connection, touched: set[Connection]) -> None:
        """Send changes in phased mode: this session gets all changes since its own last turn."""
        now = self._clock.now()
        if connection.congested:
            return
        for conid, subscription in list(connection.subscriptions.items()):
            instrument = self._exchange.instrument(conid)
            if instrument is None or instrument.version == subscription.version:
                continue
            if subscription.expires <= now:
                self.unsubscribe(connection, conid)
                continue
            if self._silenced(connection, conid):
                continue
            frame = self._frame(instrument, subscription.fields, subscription.version, connection.username)
            kind: Kind = "full" if subscription.version == 0 else "delta"
            subscription.version = instrument.version
            if frame is not None:
                connection.queue(frame)
                touched.add(connection)
                self._record(kind, instrument, frame, [connection])
        book = connection.ladder
        if book is not None and not self._silenced(connection, book.conid):
            instrument = self._exchange.instrument(book.conid)
            if instrument is not None:
                self._send_rows(connection, instrument)
                touched.add(connection)

    def _send_rows(self, connection: Connection, instrument: Instrument) -> None:
        book = connection.ladder
        if book is None:
            return
        ladder = instrument.ladder()
        rows = [
            frames.ladder_row(row, level)
            for row, level in enumerate(ladder)
            if book.sent is None or book.sent[row] != level
        ]
        book.sent = ladder
        if rows:
            frame = Frame.of({"topic": book.topic, "data": rows})
            connection.queue(frame)
            if connection.receiver is not None:
                self._truth.add(
                    self._clock.now_ms(),
                    "ladder",
                    instrument.contract.conid,
                    instrument.updated,
                    frame.payload,
                    (connection.receiver,),
                )

    def _frame(self, instrument: Instrument, fields: frozenset[str], since: int, username: str | None) -> Frame | None:
        availability, halted = self._flavour(username)
        return frames.market_data(instrument, fields, since, availability, halted)

    def _flavour(self, username: str | None) -> tuple[str, bool]:
        if self._conditions.quiet:
            return LIVE, False
        delayed = self._conditions.active(Condition.DELAYED, username)
        availability = LIVE if delayed is None else str(delayed.value or "DpB")
        return availability, self._conditions.active(Condition.HALTED, username) is not None

    def _silenced(self, connection: Connection, conid: int) -> bool:
        subscription = connection.subscriptions.get(conid)
        if subscription is not None and subscription.frozen:
            return True
        if self._conditions.quiet:
            return False
        if self._conditions.active(Condition.HANG, connection.username):
            return True
        silent = self._conditions.active(Condition.SILENT_FEED, connection.username)
        return silent is not None and (silent.value is None or str(silent.value) == str(conid))

    def _record(self, kind: Kind, instrument: Instrument, frame: Frame, connections: list[Connection]) -> None:
        conid = instrument.contract.conid
        receivers: list[Receiver] = []
        duplicates: list[Receiver] = []
        for connection in connections:
            if connection.receiver is None:
                continue
            receivers.append(connection.receiver)
            if kind != "bare":
                if connection.last_updated.get(conid) == instrument.updated:
                    duplicates.append(connection.receiver)
                connection.last_updated[conid] = instrument.updated
        self._truth.add(
            self._clock.now_ms(),
            kind,
            conid,
            instrument.updated,
            frame.payload,
            tuple(receivers),
            frozenset(duplicates),
        )
