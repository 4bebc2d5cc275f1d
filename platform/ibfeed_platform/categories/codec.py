"""JSON of records and rows. Decimals keep their digits on the way in and out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

_decoder: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def decode(value: bytes) -> dict[str, Any]:
    """Read a record or a row. Raises msgspec.DecodeError if it is no JSON object."""
    return _decoder.decode(value)


def encode(value: Mapping[str, Any]) -> bytes:
    """Write a record or a row as the worker writes records: plain digits, no exponents."""
    return msgspec.json.encode(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode())
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
