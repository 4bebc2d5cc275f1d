"""Signs of the gateway's health in its log. Pure.

IB's gateway logs exceptions that do no harm (a NullPointerException on a machine without a MAC address), so errors are
only counted. A JVM that has run out of memory may live on for hours, listening and answering nothing.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_FATAL: Final = (
    "OutOfMemoryError",
    "GC overhead limit exceeded",
    "insufficient memory for the Java Runtime",
    "Address already in use",
    "BindException",
)
_ERROR: Final = re.compile(r"\b(ERROR|SEVERE|FATAL)\b|\w+(Exception|Error)\b")


class Sign(Enum):
    """The meaning of a line for the gateway's health."""

    WELL = "well"
    ERROR = "error"
    FATAL = "fatal"  # only a new process helps


def sign_of(line: str) -> Sign:
    """Return the sign of a line of the gateway's log."""
    if any(phrase in line for phrase in _FATAL):
        return Sign.FATAL
    return Sign.ERROR if _ERROR.search(line) else Sign.WELL
