"""Websocket frames of the venue: JSON like IB's, and the RFC 6455 bytes of an unmasked text frame."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import msgspec

from ibfeed_simulator.market.exchange import Instrument
from ibfeed_simulator.market.source import Level, Value

_encode = msgspec.json.Encoder().encode

TEXT = 0x1
CONTINUATION = 0x0


def wire(payload: bytes) -> bytes:
    """Return one unfragmented text frame."""
    return _header(0x80 | TEXT, len(payload)) + payload


def wire_fragments(payload: bytes, size: int) -> bytes:
    """Return the same message in fragments of ``size`` bytes."""
    pieces = [payload[start : start + size] for start in range(0, len(payload), size)] or [b""]
    out = bytearray()
    for index, piece in enumerate(pieces):
        opcode = TEXT if index == 0 else CONTINUATION
        final = 0x80 if index == len(pieces) - 1 else 0
        out += _header(final | opcode, len(piece)) + piece
    return bytes(out)


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65536:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)


def encode(document: object) -> bytes:
    return _encode(document)


@dataclass(frozen=True)
class Frame:
    """One message, encoded once for all its receivers."""

    payload: bytes
    wire: bytes

    @classmethod
    def of(cls, document: object) -> Frame:
        payload = _encode(document)
        return cls(payload, wire(payload))


# Field 6509 comes with full frames, and now and then with others.
_AVAILABILITY_EVERY = 50


def market_data(
    instrument: Instrument, fields: frozenset[str], since: int, availability: str, halted: bool
) -> Frame | None:
    """Return the smd frame of the changes after version ``since`` (0: a full frame). None: no wanted field changed."""
    values: dict[str, Value] = instrument.since(since, fields)
    full = since == 0
    if not values and not full:
        return None
    if "87_raw" in values:  # both are sent together, although the rounded one seldom changes
        values["87"] = instrument.values["87"]
    if halted and "31" in values:
        values["31"] = f"H{str(values['31']).lstrip('CH')}"
    if full or instrument.version % _AVAILABILITY_EVERY == 0:
        values["6509"] = availability
    conid = instrument.contract.conid
    server = server_id(conid)
    return Frame.of(
        {
            "server_id": server,
            "conidEx": str(conid),
            "conid": conid,
            "_updated": instrument.updated,
            "6119": server,
            **values,
            "topic": f"smd+{conid}",
        }
    )


def server_id(conid: int) -> str:
    return f"q{conid % 33}"


def bare(instrument: Instrument) -> Frame:
    """Return a frame without conid, as IB sends now and then. It has no data."""
    server = server_id(instrument.contract.conid)
    return Frame.of({"server_id": server, "6119": server, "topic": f"smd+{instrument.contract.conid}"})


def ladder_row(row: int, level: Level) -> dict[str, object]:
    """Return a row of the ladder, with ``row`` for its key. If its level has gone, it has neither bid nor ask."""
    document: dict[str, object] = {"row": row, "focus": int(level.focus), "price": level.price}
    if level.bid is not None:
        document["bid"] = level.bid
    if level.ask is not None:
        document["ask"] = level.ask
    return document
