"""Avro schemas of the records on the topics: a record's own keys, with the dtypes of their canonical fields.

Workers write by these with ``spec.kafka.format: Avro``. ``optional: true`` marks a key that JSON leaves out where it
has no value; any other null is a null there, too.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ibfeed_platform.categories.avro import DECIMAL, kind_of
from ibfeed_platform.categories.layout import document
from ibfeed_platform.categories.source import Category, Levels, Stream

NAMESPACE: Final = "ibfeed.records"


def record_avro(category: Category, stream: Stream) -> str:
    """Return the text of a stream's schema, in its latest version. Its name has no version (see ``avro.py``)."""
    head = {
        "type": "record",
        "name": stream.topic.replace("-", "_"),
        "namespace": NAMESPACE,
        "doc": f"{stream.topic}/{max(stream.versions)}",
    }
    return document(head, "fields", [json.dumps(_field(category, stream, key)) for key in stream.keys])


def _field(category: Category, stream: Stream, key: str) -> dict[str, Any]:
    target = stream.keys[key]
    if isinstance(target, Levels):
        fields = [{"name": name, "type": DECIMAL} for name in ("price", "size")]
        level = {"type": "record", "name": f"{key}_level", "fields": fields}
        return {"name": key, "type": {"type": "array", "items": level}, "doc": f"Best first: the {target.side} side."}
    field = category.by_name[target]
    kind = kind_of(key, field.dtype)
    if not field.nullable:
        return {"name": key, "type": kind, "doc": field.meaning}
    optional = {"optional": True} if key in stream.optional else {}
    return {"name": key, "type": ["null", kind], "default": None, "doc": field.meaning} | optional
