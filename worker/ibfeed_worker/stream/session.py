"""What the websocket says about the session. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """Merged from ``sts`` frames, of which all but the first name only what has changed. None: not said yet."""

    connected: bool | None = None
    authenticated: bool | None = None
    established: bool | None = None
    competing: bool | None = None
    message: str = ""

    def merged(self, args: bytes) -> SessionFacts:
        """These facts with an ``sts`` frame's ``args`` over them; what cannot be read changes nothing."""
        try:
            news = msgspec.json.decode(args)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self
        if not isinstance(news, dict):
            return self
        flags = ("connected", "authenticated", "established", "competing")
        said = {name: news[name] for name in flags if isinstance(news.get(name), bool)}
        text = news.get("message")
        return replace(self, **said, message=text if isinstance(text, str) else self.message)
