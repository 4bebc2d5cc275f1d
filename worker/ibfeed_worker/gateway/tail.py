"""What a line of the gateway's log tells about its health. Pure.

IB's gateway logs exceptions that harm nobody (a NullPointerException on a machine without a MAC address), so errors are
counted only; a JVM that has run out of memory may live on for hours, listening and answering nothing.
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
    WELL = "well"
    ERROR = "error"
    FATAL = "fatal"  # only a new process helps


def sign_of(line: str) -> Sign:
    if any(phrase in line for phrase in _FATAL):
        return Sign.FATAL
    return Sign.ERROR if _ERROR.search(line) else Sign.WELL
