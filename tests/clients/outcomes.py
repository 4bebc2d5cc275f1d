"""What a client's calls came to, one JSON line each, for the test that started this process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

# The gateway lets ten requests a second through, and some of them are its own.
PAUSE_S = 0.25


def report(group: str, call: str, said: str, answer: str = "") -> None:
    """``said``: ``passes``, what the client was refused with, or what went wrong."""
    print(json.dumps({"group": group, "call": call, "said": said, "answer": answer[:200]}), flush=True)


def attempt(group: str, call: str, make: Callable[[], Any], refused: Callable[[Exception], str | None]) -> Any:
    """Make one call and report it; ``refused`` turns an answer that IB gives, too, into words (None: it is a fault)."""
    time.sleep(PAUSE_S)
    try:
        answer = make()
    except Exception as error:  # noqa: BLE001 - whatever a client makes of an answer is what the test is about
        known = refused(error)
        report(group, call, known or f"{type(error).__name__}: {error}"[:500])
        return None
    report(group, call, "passes", repr(answer))
    return answer


def job() -> dict[str, Any]:
    """What the test asks for: ``url`` of the gateway, ``account``, ``future`` (a conid)."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found
