"""One contract's quote, accumulated over partial frames, and the rule that says when it is a tick."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Final

from ibfeed_api.records import Number, Tick
from ibfeed_worker.ticks.frame import SmdFrame
from ibfeed_worker.ticks.number import NotANumber, Reading, read, read_once

_FIELD_FLAGS: Final = ("price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest")
_TYPE_FLAG: Final = "market_data_type"
_SNAPSHOT: Final = 1 << len(_FIELD_FLAGS) + 1
# First letter of field 6509. Only R is real time; what is not in this table is "unverified", never taken for live.
_NOT_LIVE: Final = {
    "D": ("delayed",),
    "Z": ("frozen",),
    "Y": ("delayed", "frozen"),
    "N": ("not_subscribed",),
}
_AHEAD_AT_MOST_MS: Final = 86_400_000  # of our clock
_MARKS: Final = {"C": ("previous_close",), "H": ("halted",)}

_Values = tuple[Reading | None, ...]


class Withheld(StrEnum):
    """Why a frame led to no tick; also the label of the metric that counts them."""

    NO_PRICE = "no_price"
    NO_SIZE = "no_size"
    NO_TIME = "no_time"  # or one that cannot be: it would put every later tick in the past
    NO_TYPE = "no_type"
    REPEATED = "repeated"  # a renewal's full frame, or a frame without any of our fields
    TIME_WENT_BACK = "time_went_back"


class Normaliser:
    """Turns the frames of one contract into ticks.

    A tick says everything that is known of the contract at that time; its ``flags`` name what differs from the tick
    before it. What cannot be published (a field is missing yet, IB's time went back) is not lost: the next one has it.
    """

    def __init__(self, conid: int, symbol: str) -> None:
        self.conid: Final = conid
        self.symbol = symbol
        self.unreadable = 0  # values that were no numbers, so far
        self._values: list[Reading | None] = [None] * len(_FIELD_FLAGS)
        self._exact_volume = False
        self._type: str | None = None
        self._fresh = True
        self._published_time: int | None = None
        self._published_values: _Values | None = None
        self._published_type: str | None = None

    @property
    def live(self) -> bool | None:
        """Whether IB marks the contract's data as real time; None while it has not said."""
        return None if self._type is None else self._type.startswith("R")

    @property
    def market_data_type(self) -> str | None:
        return self._type

    @property
    def published_time(self) -> int | None:
        """``event_time`` of the latest tick, whoever made it; one that is held back counts, too."""
        return self._published_time

    def published_elsewhere(self, event_time: int) -> None:
        """Somebody has published up to ``event_time``: go on after it, but never before an own tick."""
        if self._published_time is None or event_time > self._published_time:
            self._published_time = event_time
            self._published_values = None

    def restart(self) -> None:
        """A new subscription starts with a full frame: what it leaves out is no longer known."""
        self._values = [None] * len(_FIELD_FLAGS)
        self._exact_volume = False
        self._type = None
        self._fresh = True

    def take(self, frame: SmdFrame, *, received_ns: int, seq: int) -> Tick | Withheld:
        """Merge ``frame``; return the tick with number ``seq``, or why there is none. Never raises."""
        carries = self._merge(frame)
        values, kind, time = self._values, self._type, frame.updated
        price, size, bid, bid_size, ask, ask_size, volume, open_interest = values
        if price is None:
            return Withheld.NO_PRICE
        if size is None:
            return Withheld.NO_SIZE
        if kind is None:
            return Withheld.NO_TYPE
        if time is None or not 0 < time < received_ns // 1_000_000 + _AHEAD_AT_MOST_MS:
            return Withheld.NO_TIME
        changed = self._changed()
        before = self._published_time
        if before is not None:
            if time < before:
                return Withheld.TIME_WENT_BACK
            if time == before and self._published_values is None:
                self._remember(time)  # the tick that the contract's former worker published last
                return Withheld.REPEATED
            if not changed and (time == before or not carries):
                return Withheld.REPEATED
        if self._fresh:
            changed |= _SNAPSHOT
            self._fresh = False
        self._remember(time)
        return Tick(
            self.symbol,
            self.conid,
            price.digits,
            size.digits,
            _digits(open_interest),
            time,
            kind,
            _digits(bid),
            _digits(bid_size),
            _digits(ask),
            _digits(ask_size),
            _digits(volume),
            received_ns,
            seq,
            _flags(changed, price.mark, kind[:1]),
        )

    def _merge(self, frame: SmdFrame) -> bool:
        """Take over the frame's fields; whether there were any."""
        values = self._values
        carries = False
        if frame.price is not None:
            carries, values[0] = True, self._read(frame.price, values[0])
        if frame.size is not None:
            carries, values[1] = True, self._read(frame.size, values[1])
        if frame.bid is not None:
            carries, values[2] = True, self._read(frame.bid, values[2])
        if frame.bid_size is not None:
            carries, values[3] = True, self._read(frame.bid_size, values[3])
        if frame.ask is not None:
            carries, values[4] = True, self._read(frame.ask, values[4])
        if frame.ask_size is not None:
            carries, values[5] = True, self._read(frame.ask_size, values[5])
        if frame.volume is not None:
            carries, values[6], self._exact_volume = True, self._read(frame.volume, values[6], read_once), True
        elif frame.rounded_volume is not None:
            carries = True
            if not self._exact_volume:
                values[6] = self._read(frame.rounded_volume, values[6], read_once)
        if frame.open_interest is not None:
            carries, values[7] = True, self._read(frame.open_interest, values[7])
        if frame.market_data_type:
            carries, self._type = True, frame.market_data_type
        return carries

    def _read(self, text: str, known: Reading | None, how: Callable[[str], Reading | None] = read) -> Reading | None:
        try:
            return how(text)
        except NotANumber:
            self.unreadable += 1
            return known

    def _changed(self) -> int:
        """Bits of the fields that differ from the latest tick, in the order of the flags."""
        published = self._published_values
        if published is None:
            published = (None,) * len(_FIELD_FLAGS)
        bits = 0
        bit = 1
        for now, then in zip(self._values, published, strict=True):
            if now is not then and now != then:
                bits |= bit
            bit <<= 1
        return bits if self._type == self._published_type else bits | bit

    def _remember(self, time: int) -> None:
        self._published_time = time
        self._published_values = tuple(self._values)
        self._published_type = self._type


def _digits(reading: Reading | None) -> Number | None:
    return None if reading is None else reading.digits


@lru_cache(maxsize=4096)
def _flags(changed: int, mark: str, kind: str) -> list[str]:
    """The flags' names. The list is shared by all ticks with the same flags: nobody may change it."""
    names = (*_FIELD_FLAGS, _TYPE_FLAG, "snapshot")
    flags = [name for place, name in enumerate(names) if changed >> place & 1]
    flags.extend(_MARKS.get(mark, ()))
    if kind != "R":
        flags.extend(_NOT_LIVE.get(kind, ("unverified",)))
    return flags
