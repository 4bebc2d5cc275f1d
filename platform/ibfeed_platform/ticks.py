"""Ticks with IB's own digits, and the words for how far their values can be trusted."""

from __future__ import annotations

from typing import Final

import msgspec

NOT_LIVE: Final = ("delayed", "frozen", "not_subscribed", "unverified")
PRICE_MARKS: Final = ("previous_close", "halted")
NUMBERS: Final = ("price", "size", "bid", "bid_size", "ask", "ask_size", "volume", "open_interest")


class ExactTick(msgspec.Struct, frozen=True, gc=False):
    """The value of a record on ``ticklast``. ``Raw`` is the JSON text of a number as it came."""

    symbol: str
    conid: int
    price: msgspec.Raw
    size: msgspec.Raw
    open_interest: msgspec.Raw
    event_time: int
    market_data_type: str
    bid: msgspec.Raw
    bid_size: msgspec.Raw
    ask: msgspec.Raw
    ask_size: msgspec.Raw
    volume: msgspec.Raw
    received_ns: int
    seq: int
    flags: tuple[str, ...]

    def text(self, name: str) -> str | None:
        """Return a number as IB wrote it, such as ``71.90``; None if IB has not said."""
        text = bytes(getattr(self, name)).decode()
        return None if text == "null" else text

    @property
    def state(self) -> str:
        """How timely all values are, in the words of the category ``market_tick``: ``live``, or why they are not."""
        words = [word for word in NOT_LIVE if word in self.flags]
        return "+".join(words) or ("live" if self.market_data_type.startswith("R") else "unverified")

    @property
    def price_state(self) -> str:
        """The same of the price. It is ``live`` only if the price is the one of a trade of this session."""
        return "+".join([self.state, *(mark for mark in PRICE_MARKS if mark in self.flags)])


decode_exact: Final = msgspec.json.Decoder(ExactTick).decode
