"""The keeper of contract records: it writes those of the contracts that we stream, and removes long-expired ones.

It has connections of its own to Kafka, and only while it needs them. So ticks go on whatever is wrong with this topic.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, NoReturn

from ibfeed_api.backoff import Backoff
from ibfeed_api.feed import Topic
from ibfeed_api.log import Log
from ibfeed_api.records import ContractRecord
from ibfeed_api.shard import Entry, EntryState
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.publish.broker import Broker, BrokerError
from ibfeed_worker.reference import record
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.responses import AuthStatus, NoSession, Throttled, Unavailable, Unknown

_log: Final = Log(__name__)
_LOOK_S: Final = 5.0
_ASK_S: Final = 1.0  # between questions to IB, a seventh of the budget
_ASK_AGAIN_S: Final = 1800.0  # until rules that IB did not tell are asked for again
_PATIENCE_S: Final = 30.0  # a new contract's record waits so long for answers that IB still owes
_SWEEP_S: Final = 6 * 3600.0
_SPREAD_S: Final = 60.0  # between the workers of a feed: the second one finds nothing left to do
_LONGEST_PAUSE_S: Final = 300.0


class Reference:
    """The contract records of this worker, for the life of the process.

    ``trouble`` says what keeps it from writing; empty if nothing does.
    """

    def __init__(
        self,
        *,
        feed: str,
        worker: int,
        topic: Topic,
        create: bool,
        broker: Callable[[], Broker | None],
        entries: Callable[[], Iterable[Entry]],
        hours: Callable[[Entry], Hours],
        kinds: Callable[[], Mapping[int, str]],
        may_write: Callable[[], bool],
        on_change: Callable[[], None],
    ) -> None:
        """Create the keeper; it connects to Kafka only when it needs to.

        Args:
            broker: returns Kafka, once it can be used.
            entries: returns those of the shard.
            kinds: returns conid to its latest field 6509.
            may_write: whether the account, and so its contracts, are ours at this moment.
            on_change: called when ``trouble`` changes.
        """
        self.trouble = ""
        self._feed: Final = feed
        self._topic: Final = topic
        self._create: Final = create
        self._broker: Final = broker
        self._entries: Final = entries
        self._hours: Final = hours
        self._kinds: Final = kinds
        self._may_write: Final = may_write
        self._on_change: Final = on_change
        self._sweep_at = time.monotonic() + _SPREAD_S * (worker + 1)
        self._increments: dict[int, str] = {}
        self._asked: dict[int, float] = {}  # conid -> when IB was asked for its rules
        self._known: dict[int, ContractRecord | None] = {}  # the topic's records of the contracts that are ours
        self._since: dict[int, float] = {}  # conid -> since when it is ours
        self._pause: Final = Backoff(_LOOK_S, _LONGEST_PAUSE_S)

    async def keep(self, rest: SessionClient) -> NoReturn:
        """Keep the records, for as long as there is a session."""
        next_look = time.monotonic() + _LOOK_S
        while True:
            await asyncio.sleep(_ASK_S)
            try:
                await self._ask(rest)
                if time.monotonic() >= next_look:
                    await self._look()
                    self._say("")
                    self._pause.reset()
                    next_look = time.monotonic() + _LOOK_S
            except BrokerError as error:
                self._say(str(error))
                next_look = time.monotonic() + self._pause.next()
            except Exception as error:  # noqa: BLE001 - whatever is wrong here, ticks go on, and it is said
                self._say(f"internal error ({type(error).__name__}: {error}): please report it")
                next_look = time.monotonic() + self._pause.next()

    async def _look(self) -> None:
        """Write news and remove old records, if we may write. Raises BrokerError."""
        broker = self._broker()
        if broker is not None and self._may_write():
            await self._write_news(broker)
            await self._sweep(broker)

    def _say(self, trouble: str) -> None:
        text = f"topic {self._topic.name} is not written: {trouble}" if trouble else ""
        if text != self.trouble:
            self.trouble = text
            if text:
                _log.warning("reference data are not written", problem=trouble)
            self._on_change()

    # Records.

    async def _write_news(self, broker: Broker) -> None:
        ours = {entry.conid: entry for entry in self._entries() if entry.state is EntryState.ACTIVE}
        now = time.monotonic()
        self._since = {conid: self._since.get(conid, now) for conid in ours}
        self._known = {conid: told for conid, told in self._known.items() if conid in ours}
        if ours.keys() - self._known.keys():
            on_topic = await self._read(broker)
            for conid in ours.keys() - self._known.keys():
                self._known[conid] = on_topic.get(conid)
        kinds, at_ms = self._kinds(), time.time_ns() // 1_000_000
        news: dict[int, ContractRecord] = {}
        for conid, entry in ours.items():
            found = record.compose(
                entry,
                feed=self._feed,
                increment=self._increments.get(conid),
                hours=self._hours(entry),
                kind=kinds.get(conid),
                before=self._known[conid],
                at_ms=at_ms,
            )
            complete = None not in (found.min_price_increment, found.trading_hours, found.market_data_type)
            due = complete or now - self._since[conid] >= _PATIENCE_S
            if due and record.is_news(found, self._known[conid]):
                news[conid] = found
        if news:
            await self._write(broker, {conid: record.encode(found) for conid, found in news.items()})
            self._known.update(news)
            _log.info("reference data", records=len(news))

    async def _sweep(self, broker: Broker) -> None:
        if time.monotonic() < self._sweep_at:
            return
        today = datetime.now(UTC).date()
        over = [conid for conid, told in (await self._read(broker)).items() if record.is_over(told, today)]
        if over:
            await self._write(broker, dict.fromkeys(over))
            _log.info("records of contracts that are over are taken away", records=len(over))
        self._sweep_at = time.monotonic() + _SWEEP_S

    async def _read(self, broker: Broker) -> dict[int, ContractRecord]:
        """Return the topic's records by conid; create the topic if there is none. Raises BrokerError."""
        await asyncio.to_thread(broker.provide_table, self._topic, create=self._create)
        values = await asyncio.to_thread(broker.read_table, self._topic)
        decoded = {key: record.decode(value) for key, value in values.items()}
        return {
            told.conid: told for key, told in decoded.items() if told is not None and key == str(told.conid).encode()
        }

    async def _write(self, broker: Broker, values: Mapping[int, bytes | None]) -> None:
        """Write records. Raises BrokerError.

        A contract stays on one partition, whatever its slot, since compaction is by partition.
        """
        rows = [(conid % self._topic.partitions, str(conid).encode(), value) for conid, value in values.items()]
        await asyncio.to_thread(broker.write_table, self._topic, rows)

    # Questions to IB.

    async def _ask(self, rest: SessionClient) -> None:
        """Ask for the rules of one contract, if any are missing."""
        conid = self._next()
        if conid is None:
            return
        found = await rest.get(f"/iserver/contract/{conid}/info-and-rules", {})
        if isinstance(found, AuthStatus | NoSession | Throttled | Unavailable):
            return  # it says nothing of the contract
        self._asked[conid] = time.monotonic()
        increment = None if isinstance(found, Unknown) else record.increment_of(found)
        if increment is not None:
            self._increments[conid] = increment

    def _next(self) -> int | None:
        """Return a contract of ours whose rules IB has not told, and was not asked for lately."""
        now = time.monotonic()
        for conid in self._since:
            asked = self._asked.get(conid)
            if conid not in self._increments and (asked is None or now - asked >= _ASK_AGAIN_S):
                return conid
        return None
