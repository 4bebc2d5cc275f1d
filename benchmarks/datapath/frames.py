"""Frames as the gateway sends them: of each contract a full one first, then only what has changed. Pure, seeded."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

FIRST_CONID: Final = 640_000_001
PACE_MS: Final = 500  # between two updates of a contract: IB's own conflation


@dataclass(slots=True)
class _Quote:
    price: int  # cents
    bid_size: int
    ask_size: int
    volume: int


class Market:
    """``contracts`` contracts, whose updates come in turn. Each update changes something and is later than the last."""

    def __init__(self, contracts: int, begin_ms: int, seed: int = 4) -> None:
        self.conids: Final = range(FIRST_CONID, FIRST_CONID + contracts)
        self.last: Final[dict[int, tuple[int, str]]] = {}  # conid -> event time (ms) and price of the latest update
        self._begin_ms = begin_ms
        self._dice: Final = random.Random(seed)
        self._quotes: Final = [_Quote(7190 + 7 * place, 12, 9, 100_000) for place in range(contracts)]

    def updates(self, count: int) -> Iterator[bytes]:
        """The next ``count`` messages."""
        for number in range(count):
            yield self.update(number % len(self.conids), number // len(self.conids))

    def update(self, place: int, step: int) -> bytes:
        """The message of the contract at ``place``; ``step`` 0 is the full frame."""
        quote, dice = self._quotes[place], self._dice
        time = self._begin_ms + step * PACE_MS
        if step == 0:
            fields = self._full(quote)
        elif dice.random() < 0.3:  # a trade
            quote.price += dice.choice((-2, -1, 1, 2))
            size = dice.randint(1, 20)
            quote.volume += size
            fields = f'"31":"{_cents(quote.price)}","7059":"{size}","7762":"{quote.volume}"'
        elif dice.random() < 0.5:
            quote.bid_size = quote.bid_size % 400 + dice.randint(1, 30)
            fields = f'"84":"{_cents(quote.price - 1)}","88":"{quote.bid_size:,}"'
        else:
            quote.ask_size = quote.ask_size % 400 + dice.randint(1, 30)
            fields = f'"86":"{_cents(quote.price + 1)}","85":"{quote.ask_size:,}"'
        conid = self.conids[place]
        self.last[conid] = (time, _cents(quote.price))
        return (
            f'{{"server_id":"q{place}","conidEx":"{conid}","conid":{conid},"_updated":{time},"6119":"q{place}",'
            f'{fields},"topic":"smd+{conid}"}}'
        ).encode()

    @staticmethod
    def _full(quote: _Quote) -> str:
        return (
            f'"31":"{_cents(quote.price)}","7059":"1","84":"{_cents(quote.price - 1)}","88":"{quote.bid_size}",'
            f'"86":"{_cents(quote.price + 1)}","85":"{quote.ask_size}","7762":"{quote.volume}","87":"100K",'
            '"7697":"312,450","6509":"RB"'
        )


def _cents(value: int) -> str:
    return f"{value // 100}.{value % 100:02d}"
