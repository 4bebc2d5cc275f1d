"""One contract's quote, accumulated over partial frames, and the rule that decides when it is a tick."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import astuple, fields

from ibfeed_api.records import Number, Tick
from ibfeed_worker.ticks.frame import SmdFrame
from ibfeed_worker.ticks.number import NumberError, NumberReading, read, read_once

_FIELD_FLAGS: Final = ("price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest")
_VALUES: Final = len(_FIELD_FLAGS)
_VOLUME: Final = _FIELD_FLAGS.index("volume")
# The places of a frame's fields; those of the flags follow each other. A frame is read faster as a tuple than by names.
_PLACES: Final = {field.name: place for place, field in enumerate(fields(SmdFrame))}
_UPDATED: Final = _PLACES["updated"]
_PRICE: Final = _PLACES["price"]
_ROUNDED_VOLUME: Final = _PLACES["rounded_volume"]
_MARKET_DATA_TYPE: Final = _PLACES["market_data_type"]
_TYPE_FLAG: Final = "market_data_type"
_TYPE: Final = 1 << len(_FIELD_FLAGS)
_SNAPSHOT: Final = _TYPE << 1
# By the first letter of field 6509. Only R is real time. A letter that is not in this table is "unverified", and never
# taken for live data.
_NOT_LIVE: Final = {
    "D": ("delayed",),
    "Z": ("frozen",),
    "Y": ("delayed", "frozen"),
    "N": ("not_subscribed",),
}
_AHEAD_AT_MOST_MS: Final = 86_400_000  # of our clock
_LONGEST_TYPE: Final = 8  # letters
_MARKS: Final = {"C": ("previous_close",), "H": ("halted",)}

_ALL: Final = (None,) * len(_FIELD_FLAGS)


class Withheld(StrEnum):
    """The reason why a frame led to no tick; also the label of the metric that counts them."""

    NO_PRICE = "no_price"
    NO_SIZE = "no_size"
    NO_TIME = "no_time"  # or an impossible one: it would put every later tick in the past
    NO_TYPE = "no_type"
    REPEATED = "repeated"  # a renewal's full frame, or a frame without any of our fields
    TIME_WENT_BACK = "time_went_back"


class Normaliser:
    """The quote of one contract. It turns frames into ticks.

    A tick holds everything that is known of the contract at that time. Its ``flags`` name the values that differ from
    the tick before. A change that cannot be published (a field is still missing, or IB's time went back) is not lost:
    the next tick has it.
    """

    def __init__(self, conid: int, symbol: str) -> None:
        self.conid: Final = conid
        self.symbol = symbol
        self.unreadable = 0  # values so far that were no numbers
        self.published_time: int | None = None  # ``event_time`` (ms) of the latest tick of any worker, held ones too
        self._values: list[NumberReading | None] = list(_ALL)
        self._digits: list[Number | None] = list(_ALL)  # the digits of ``_values``
        self._exact_volume = False
        self._type: str | None = None
        self._fresh = True
        self._published: list[NumberReading | None] = list(_ALL)
        self._published_here = False  # False: the contents of the latest tick are not known
        self._published_type: str | None = None
        self._changed = 0  # bits of the values that differ from the published ones, in the order of the flags

    @property
    def live(self) -> bool | None:
        """Whether IB marks the contract's data as real time; None while it has not said."""
        return None if self._type is None else self._type.startswith("R")

    @property
    def market_data_type(self) -> str | None:
        return self._type

    def published_elsewhere(self, event_time: int) -> None:
        """Another worker has published up to ``event_time``: go on after it, but never before a tick of our own."""
        if self.published_time is None or event_time > self.published_time:
            self.published_time = event_time
            self._published = list(_ALL)
            self._published_here = False
            self._compare()

    def restart(self) -> None:
        """Forget the values: a new subscription starts with a full frame, and a field that it leaves out is unknown."""
        self._values = list(_ALL)
        self._digits = list(_ALL)
        self._exact_volume = False
        self._type = None
        self._fresh = True
        self._compare()

    def normalise(self, frame: SmdFrame, received_ns: int, seq: int) -> Tick | Withheld:
        """Merge ``frame``, received at ``received_ns`` (ns since 1970). Never raises.

        Returns the tick, with number ``seq``, or the reason why there is none.
        """
        said = astuple(frame)
        carries = self._merge(said)
        kind: str | None = self._type
        time: int | None = said[_UPDATED]
        price, size, bid, bid_size, ask, ask_size, volume, open_interest = self._digits
        reading = self._values[0]
        if price is None or reading is None:
            return Withheld.NO_PRICE
        if size is None:
            return Withheld.NO_SIZE
        if kind is None:
            return Withheld.NO_TYPE
        if time is None or not 0 < time < received_ns // 1_000_000 + _AHEAD_AT_MOST_MS:
            return Withheld.NO_TIME
        changed = self._changed
        if kind != self._published_type:
            changed |= _TYPE
        before = self.published_time
        if before is not None:
            if time < before:
                return Withheld.TIME_WENT_BACK
            if time == before and not self._published_here:
                self._remember(time)  # the last tick that the contract's former worker published
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
            price,
            size,
            open_interest,
            time,
            kind,
            bid,
            bid_size,
            ask,
            ask_size,
            volume,
            received_ns,
            seq,
            _flags(changed, reading.mark, kind),
        )

    def _merge(self, said: tuple[Any, ...]) -> bool:
        """Merge the frame's fields; return whether there were any."""
        carries = False
        for place in range(_VALUES):
            if (text := said[_PRICE + place]) is not None:
                carries = True
                if place == _VOLUME:
                    self._exact_volume = True
                    self._set(place, text, read_once)
                else:
                    self._set(place, text, read)
        if (text := said[_ROUNDED_VOLUME]) is not None:
            carries = True
            if not self._exact_volume:
                self._set(_VOLUME, text, read_once)
        if kind := said[_MARKET_DATA_TYPE]:
            carries = True
            if len(kind) <= _LONGEST_TYPE and kind.isascii() and kind.isalpha():
                self._type = kind
            else:
                self.unreadable += 1
        return carries

    def _set(self, place: int, text: str, how: Callable[[str], NumberReading | None]) -> None:
        try:
            reading = how(text)
        except NumberError:
            self.unreadable += 1
            return
        self._values[place] = reading
        self._digits[place] = None if reading is None else reading.digits
        if reading == self._published[place]:
            self._changed &= ~(1 << place)
        else:
            self._changed |= 1 << place

    def _compare(self) -> None:
        pairs = zip(self._values, self._published, strict=True)
        self._changed = sum(1 << place for place, (now, then) in enumerate(pairs) if now != then)

    def _remember(self, time: int) -> None:
        self.published_time = time
        self._published = self._values.copy()
        self._published_here = True
        self._published_type = self._type
        self._changed = 0


@lru_cache(maxsize=4096)
def _flags(changed: int, mark: str, kind: str) -> list[str]:
    """Return the flags' names. All ticks with the same flags share the list, so it must not be changed."""
    names = (*_FIELD_FLAGS, _TYPE_FLAG, "snapshot")
    flags = [name for place, name in enumerate(names) if changed >> place & 1]
    flags.extend(_MARKS.get(mark, ()))
    if not kind.startswith("R"):
        flags.extend(_NOT_LIVE.get(kind[0], ("unverified",)))
    return flags
