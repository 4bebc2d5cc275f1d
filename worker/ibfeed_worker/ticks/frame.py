"""The part of a websocket frame that concerns ticks, and the fields that we ask IB for."""

from __future__ import annotations

from typing import Final

import msgspec

# The fields of a tick, and no others: IB sends a frame for each change of a subscribed field, so every further field
# costs frames. 7762 is the full volume; 87 is its rounded form, used where IB leaves 7762 out. The symbol (55) is not
# asked for: the operator gives the contract's symbol, by its contract month.
FIELDS: Final = ("31", "7059", "84", "88", "86", "85", "7762", "87", "7697", "6509")


class SmdFrame(msgspec.Struct, kw_only=True, gc=False):
    """An ``smd`` frame. The first one of a subscription is full; later ones carry only changed fields.

    The normaliser reads the fields by their places here.
    """

    topic: str = ""
    conid: int | str | None = None
    updated: int | None = msgspec.field(name="_updated", default=None)  # ms since 1970, IB's clock
    price: str | None = msgspec.field(name="31", default=None)
    size: str | None = msgspec.field(name="7059", default=None)
    bid: str | None = msgspec.field(name="84", default=None)
    bid_size: str | None = msgspec.field(name="88", default=None)
    ask: str | None = msgspec.field(name="86", default=None)
    ask_size: str | None = msgspec.field(name="85", default=None)
    volume: str | None = msgspec.field(name="7762", default=None)
    open_interest: str | None = msgspec.field(name="7697", default=None)
    rounded_volume: str | None = msgspec.field(name="87", default=None)
    market_data_type: str | None = msgspec.field(name="6509", default=None)

    def contract(self) -> int | None:
        """Return the contract's conid, or None if there is none.

        IB sends it as a number, as text, or only within the topic (``smd+495512572``).
        """
        conid = self.conid
        if type(conid) is int:
            return conid
        text = conid if isinstance(conid, str) else self.topic.partition("+")[2].partition("+")[0].partition("@")[0]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
