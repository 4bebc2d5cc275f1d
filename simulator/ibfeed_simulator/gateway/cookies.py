"""The gateway's one cookie store. A process holds one login, and a second user's login replaces it."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Final

# Only known names are kept; ``x-sess-uuid`` is not among them.
KEPT: Final = frozenset({"XYZAB", "XYZAB_AM.LOGIN", "USERID", "SBID", "IB_PRIV_PREFS", "ibcust", "cp", "web"})


class CookieStore:
    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}

    def store_set_cookies(self, headers: Iterable[str]) -> None:
        """Store the known cookies of ``Set-Cookie`` headers. Like a browser, ignore a header that cannot be read."""
        for header in headers:
            parsed: SimpleCookie = SimpleCookie()
            try:
                parsed.load(header)
            except CookieError:
                continue
            for name, morsel in parsed.items():
                if name in KEPT:
                    self._cookies[name] = morsel.value

    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def clear(self) -> None:
        self._cookies.clear()

    def __bool__(self) -> bool:
        return bool(self._cookies)
