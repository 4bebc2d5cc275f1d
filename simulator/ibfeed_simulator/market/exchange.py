"""The instruments of the venue. Each field has the version at which it changed last.

So every session can be sent the changes since its own last frame.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from ibfeed_simulator.market import contracts, hours, stocks
from ibfeed_simulator.market.contracts import Contract
from ibfeed_simulator.market.replay import Recording, Replay
from ibfeed_simulator.market.source import CONFLATION, Changes, Ladder, Source, Value
from ibfeed_simulator.market.stocks import Stock
from ibfeed_simulator.market.walk import SLOWER_PER_MONTH, Walk

Mode = Literal["common", "phased"]
"""``common``: all sessions get the same updates; ``phased``: each session conflates at its own phase of the 500 ms."""

_NEW_YORK = ZoneInfo("America/New_York")
_PHASED_INTERVAL = 0.2  # between steps of a front month when the sessions conflate by themselves


def trading_date(now: float) -> date:
    return datetime.fromtimestamp(now, _NEW_YORK).date()


@dataclass
class Instrument:
    contract: Contract
    source: Source
    values: Changes
    updated: int  # IB's ``_updated``: ms since 1970, strictly growing
    version: int = 1
    versions: dict[str, int] = field(default_factory=dict)
    open: bool = True

    def __post_init__(self) -> None:
        self.versions = dict.fromkeys(self.values, 1)

    def apply(self, changes: Changes, now_ms: int) -> None:
        self.version += 1
        self.updated = max(now_ms, self.updated + 1)
        self.values.update(changes)
        for key in changes:
            self.versions[key] = self.version

    def since(self, version: int, wanted: frozenset[str]) -> dict[str, Value]:
        """Return the values of ``wanted`` fields that changed after ``version`` (0: all there are)."""
        versions = self.versions
        return {key: value for key, value in self.values.items() if versions[key] > version and key in wanted}

    def ladder(self) -> Ladder:
        return self.source.ladder()


class Exchange:
    """All instruments. Each is made when it is first asked for, and moves only while it is watched."""

    def __init__(
        self,
        seed: int,
        mode: Mode,
        opening: hours.Hours,
        now: Callable[[], float],
        recording: Recording | None,
        recorded_root: str = "ES",
        replay_speed: float = 1.0,
        interval: float = CONFLATION,
        slower: float = SLOWER_PER_MONTH,
    ) -> None:
        self._seed = seed
        self._hours = opening
        self._now = now
        self._recording = recording
        self._recorded_root = recorded_root
        self._replay_speed = replay_speed
        self._interval = interval if mode == "common" else min(interval, _PHASED_INTERVAL)
        self._slower = slower
        self._instruments: dict[int, Instrument] = {}
        self._watched: set[int] = set()
        self._due: list[tuple[float, int]] = []

    def listed(self, root: str) -> tuple[Contract, ...]:
        return contracts.listed(root, trading_date(self._now()))

    def instrument(self, conid: int) -> Instrument | None:
        """Return the instrument of a conid. None: the venue does not know it."""
        found = self._instruments.get(conid)
        if found is None:
            contract = contracts.find(conid) or stocks.find(conid)
            if contract is None:
                return None
            source = self._source(contract)
            found = Instrument(contract, source, source.full(), int(self._now() * 1000))
            self._instruments[conid] = found
        return found

    def _source(self, contract: Contract) -> Source:
        now = self._now()
        if isinstance(contract, Stock):  # quick, even if a future has the same name
            return Walk(contract, self._seed, 0, self._interval, now, self._slower)
        front = contracts.listed_of(contract.product, trading_date(now))
        rank = front.index(contract) if contract in front else len(front)
        if self._recording is not None and rank == 0 and contract.product.root == self._recorded_root:
            return Replay(contract, self._recording, now, self._interval, self._replay_speed)
        return Walk(contract, self._seed, rank, self._interval, now, self._slower)

    def watch(self, conid: int) -> None:
        if conid in self._watched or conid not in self._instruments:
            return
        self._watched.add(conid)
        heapq.heappush(self._due, (self._instruments[conid].source.due(), conid))

    def unwatch(self, conid: int) -> None:
        """Stop watching. The instrument's place in the queue goes when its turn comes."""
        self._watched.discard(conid)

    def clock_moved(self) -> None:
        """Make all instruments due now, since the venue's clock was set."""
        self._due = [(0.0, conid) for _, conid in self._due]

    def is_open(self) -> bool:
        return hours.is_open(self._hours, self._now())

    def is_expired(self, contract: Contract) -> bool:
        return contract.last_trading_day < trading_date(self._now())

    def moved(self, now: float) -> Iterator[Instrument]:
        """Advance the instruments that are due; yield each one that changed."""
        market_open = self.is_open()
        while self._due and self._due[0][0] <= now:
            _, conid = heapq.heappop(self._due)
            if conid not in self._watched:
                continue
            instrument = self._instruments[conid]
            if self._advance(instrument, now, market_open):
                yield instrument
            next_due = instrument.source.due()
            heapq.heappush(self._due, (next_due if now < next_due < now + 60 else now + self._interval, conid))

    def refresh(self, instrument: Instrument) -> None:
        """Advance an instrument that is not watched, for a snapshot."""
        if instrument.contract.conid not in self._watched:
            self._advance(instrument, self._now(), self.is_open())

    def _advance(self, instrument: Instrument, now: float, market_open: bool) -> bool:
        if not market_open or self.is_expired(instrument.contract):
            instrument.open = False
            return False
        if not instrument.open:
            instrument.open = True
            instrument.source.new_day()
        changes = instrument.source.advance(now)
        if changes:
            instrument.apply(changes, int(now * 1000))
        return bool(changes)

    def sessions(self, exchange: str, day: date, zone: ZoneInfo) -> list[hours.TradingSession]:
        return hours.sessions_of(self._hours, exchange, day, zone)
