"""The lines of a worker's log, which are JSON objects, for a person. No I/O."""

from __future__ import annotations

import json
from typing import Any, Final

# The parts of a worker that log in: credentials, IB's gateway, the page, and what the account's Lease remembers.
_LOGIN: Final = tuple(f"ibfeed_worker.{part}" for part in ("account", "credentials", "gateway", "login"))
_HEAD: Final = ("time", "level", "logger", "event", "namespace", "feed", "worker", "traceback")


def about_login(line: str) -> bool:
    """Whether a line is about a login, or the account and gateway that it needs."""
    return str(_parse(line).get("logger", "")).startswith(_LOGIN)


def for_person(line: str, *, with_worker: bool) -> str:
    """Return a line as time, level, event and its values, but empty ones. A line that is no JSON stays as it is."""
    found = _parse(line)
    if "event" not in found:
        return line
    time = str(found.get("time", "")).replace("T", " ").removesuffix("+00:00")
    values = " ".join(f"{key}={_word(value)}" for key, value in found.items() if key not in _HEAD and value != "")
    words = [time, str(found.get("level", "")).upper().ljust(7)]
    words += [str(found.get("worker", ""))] if with_worker else []
    words += [str(found["event"]), f"({values})" if values else ""]
    trace = str(found.get("traceback", "")).rstrip()
    return " ".join(filter(None, words)) + (f"\n{trace}" if trace else "")


def _parse(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text, ensure_ascii=False) if " " in text else text
