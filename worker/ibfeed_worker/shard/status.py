"""A ShardStatus as a merge-patch. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from ibfeed_api.shard import ShardStatus


def patch(status: ShardStatus) -> dict[str, Any]:
    """Merge-patch that makes the stored status equal to ``status``.

    A merge-patch leaves alone what it does not name, so every field is named: absent ones as null, which removes them.
    Lists are replaced whole.
    """
    return {"status": _complete(status)}


def _complete(value: msgspec.Struct) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        named[field.encode_name] = _complete(inner) if isinstance(inner, msgspec.Struct) else msgspec.to_builtins(inner)
    return named


def stamp(moment: float | None) -> str | None:
    """Epoch seconds as RFC 3339, UTC."""
    if moment is None:
        return None
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
