"""Events as bytes, and back. No digit is lost, and each event comes back as the type that it was.

The bytes are JSON: ``{"type":"trade","event":{...}}``. Decimals are text, such as ``"71.90"``. A tick travels as the
record that it was read from, because there IB's digits are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ibfeed.errors import RecordError
from ibfeed.events import Bar, Book, BookChange, Contract, Event, Gap, Status, Tick, Trade, attach

_NO_JSON: Final = (ValueError, TypeError, RecursionError)


class _Envelope(msgspec.Struct):
    type: str
    event: msgspec.Raw


class _SentTick(msgspec.Struct):
    tick: msgspec.Raw
    exact: bool  # whether ``tick`` is the record as it came
    contract: Contract | None


_encoder: Final = msgspec.json.Encoder()
_decode_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_decode_sent_tick: Final = msgspec.json.Decoder(_SentTick).decode
_decode_tick: Final = msgspec.json.Decoder(Tick).decode
_NAMES: Final[Mapping[type, str]] = {
    Bar: "bar",
    Book: "book",
    BookChange: "book_change",
    Contract: "contract",
    Gap: "gap",
    Status: "status",
    Tick: "tick",
    Trade: "trade",
}


def encode(event: Event) -> bytes:
    """Return an event as bytes."""
    sent = _sent_tick(event) if type(event) is Tick else event
    return _encoder.encode(_Envelope(_NAMES[type(event)], msgspec.Raw(_encoder.encode(sent))))


def decode(value: bytes) -> Event:
    """Return the event of its bytes. Raises RecordError, whose text says why there is none."""
    try:
        envelope = _decode_envelope(value)
        decoder = _DECODERS.get(envelope.type)
        if decoder is None:
            raise RecordError(f"an event in the queue has type {envelope.type}, which is not known: upgrade ibfeed")
        return decoder(envelope.event)
    except _NO_JSON as error:
        raise RecordError(f"a value in the queue is no event of ibfeed ({error}): is the queue ibfeed's own?") from None


def _sent_tick(tick: Tick) -> _SentTick:
    if tick.record:
        return _SentTick(msgspec.Raw(tick.record), exact=True, contract=tick.contract)
    bare = msgspec.structs.replace(tick, contract=None)
    return _SentTick(msgspec.Raw(_encoder.encode(bare)), exact=False, contract=tick.contract)


def _received_tick(value: bytes) -> Tick:
    sent = _decode_sent_tick(value)
    tick = _decode_tick(sent.tick)
    attach(tick, "contract", sent.contract)
    if sent.exact:
        attach(tick, "record", bytes(sent.tick))
    return tick


_DECODERS: Final[Mapping[str, Callable[[Any], Event]]] = {
    **{name: msgspec.json.Decoder(kind).decode for kind, name in _NAMES.items() if kind is not Tick},
    "tick": _received_tick,
}
