"""What the hot store must hold, whichever way the records came to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import redis

from ibfeed.records import decode_tick
from ibfeed_platform.hot_store.keys import Keys
from support import reader_records
from support.reader_records import CONID, FakeMessage, tick
from support.redis import hash_of

KEYS = Keys("energy")
SYMBOLS = {CONID + place: f"CL{month}6" for place, month in enumerate("FGHJKM")}


def ticks_of(epochs: Sequence[int], each: int) -> list[FakeMessage]:
    """Ticks of all symbols over several assignments, in the order of time."""
    return [
        tick(count + number * each, conid=conid, symbol=symbol, epoch=reader_records.EPOCH + epoch, price=f"{count}.25")
        for number, epoch in enumerate(epochs)
        for count in range(1, each + 1)
        for conid, symbol in SYMBOLS.items()
    ]


def newest_of(messages: Sequence[FakeMessage]) -> dict[str, tuple[str, str]]:
    """The seq and the price, as written, of each symbol's newest tick."""
    found: dict[str, tuple[int, bytes]] = {}
    for message in messages:
        value = message.value() or b""
        now = decode_tick(value)
        if now.seq > found.get(now.symbol, (-1, b""))[0]:
            found[now.symbol] = now.seq, bytes(msgspec.json.decode(value, type=dict[str, msgspec.Raw])["price"])
    return {symbol: (str(seq), price.decode()) for symbol, (seq, price) in found.items()}


def held_by(client: redis.Redis) -> dict[str, tuple[str, str]]:
    held = {symbol: hash_of(client, KEYS.tick(symbol)) for symbol in SYMBOLS.values()}
    return {symbol: (found["seq"], found["price"]) for symbol, found in held.items() if found}
