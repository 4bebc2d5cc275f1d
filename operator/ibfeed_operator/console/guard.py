"""The rules for each request and each answer, whoever asks. Pure.

The page is reached through a port-forward, so its name is ``localhost``. Another name in ``Host`` means that a page of
somebody else has had its own name resolved to this address. Cookies know no ports: pages on other ports of localhost
are "same-site", so a write must say that it comes from this very origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
COOKIE: Final = "ibfeed-console"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def objection(method: str, headers: Mapping[str, str]) -> str:
    """Return why a request is refused; empty: it is not. ``headers`` are looked up whatever their case."""
    host = headers.get("Host", "")
    if _name(f"//{host}") not in _LOOPBACK:
        return "the console answers to localhost only: open it by `ibfeed dashboard` or kubectl port-forward"
    site = headers.get("Sec-Fetch-Site", "none")
    if site not in ("same-origin", "none") and not (method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"):
        return "a page of another origin may not ask the console"
    if method != "GET":
        origin = headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "a page of another origin may not ask the console"
        if headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            return "the body must be application/json"
    return ""


def bearer(headers: Mapping[str, str]) -> str:
    """Return the bearer token of a request; empty: it has none."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
