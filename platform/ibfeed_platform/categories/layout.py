"""The text of generated JSON: one line for each column, so that a change of one shows as one line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def document(head: Mapping[str, Any], key: str, body: Mapping[str, str] | Iterable[str]) -> str:
    """Return a JSON object with the keys of ``head``, and ``key`` with an object or an array of JSON texts."""
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
    if isinstance(body, Mapping):
        begin, inner, end = "{", [f"{json.dumps(name)}: {text}" for name, text in body.items()], "}"
    else:
        begin, inner, end = "[", list(body), "]"
    rows = ",\n".join(f"    {line}" for line in inner)
    return "\n".join(["{", *lines, f"  {json.dumps(key)}: {begin}", rows, f"  {end}", "}", ""])
