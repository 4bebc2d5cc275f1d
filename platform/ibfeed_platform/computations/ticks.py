"""Ticks as rows of the tables ``ticks`` and ``latest``."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

from ibfeed.events import Contract
from ibfeed_platform.ticks import ExactTick

# The source's volume falls at the start of a session, and by a little when an exchange takes trades back.
_NEW_SESSION: Final = Decimal("0.5")


class TickRow(NamedTuple):
    """A row, with numbers as text. The fields' names and order are those of the columns."""

    symbol: str
    conid: int
    root: str | None
    event_time: int
    seq: int
    state: str
    price_state: str
    price: str | None
    size: str | None
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    volume: str | None
    open_interest: str | None
    traded: str | None


def row_of(tick: ExactTick, contract: Contract | None, traded: Decimal | None) -> TickRow:
    """Return a tick's row.

    Args:
        contract: its reference data; None: not known.
        traded: contracts that were traded since the tick before; None: not known.
    """
    return TickRow(
        symbol=tick.symbol,
        conid=tick.conid,
        root=None if contract is None else contract.root,
        event_time=tick.event_time,
        seq=tick.seq,
        state=tick.state,
        price_state=tick.price_state,
        price=tick.text("price"),
        size=tick.text("size"),
        bid=tick.text("bid"),
        bid_size=tick.text("bid_size"),
        ask=tick.text("ask"),
        ask_size=tick.text("ask_size"),
        volume=tick.text("volume"),
        open_interest=tick.text("open_interest"),
        traded=None if traded is None else str(traded),
    )


class VolumeMeter:
    """The volume that each contract trades from tick to tick.

    IB tells the volume of the session and the size of the last trade. Of several trades within 500 ms only the last
    one's size is seen, so the differences of the volume are what counts.
    """

    def __init__(self) -> None:
        self._before: Final[dict[int, Decimal]] = {}

    def traded(self, tick: ExactTick) -> Decimal | None:
        """Return the contracts that were traded since the tick before; None: not known.

        A volume that is not live is of another time, so nothing is told from it to a live one. A fall to less than half
        is a new session, and a smaller one a correction.
        """
        text = tick.text("volume")
        if tick.state != "live":
            self._before.pop(tick.conid, None)
            return None
        if text is None:
            return None
        volume = Decimal(text)
        before = self._before.get(tick.conid)
        self._before[tick.conid] = volume
        if before is None:
            return None
        if volume < before * _NEW_SESSION:
            return volume
        return max(Decimal(0), volume - before)
