"""JSON answers. They are compact, because clients compare some of them byte by byte."""

from __future__ import annotations

import msgspec
from aiohttp import web


def answer(document: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


def error(text: str, status: int) -> web.Response:
    """Return an error in the form that most of IB's endpoints use."""
    return answer({"error": text, "statusCode": status}, status)
