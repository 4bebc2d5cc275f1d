"""A fault that a check found: how bad it is, what is wrong, its cause, and the command that mends it. No I/O."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # contracts are not streamed, or soon will not be
    WARNING = "warning"  # the feed streams, and something endangers it or its readers
    NOTE = "note"  # it explains what is seen, and nobody has to do anything


@dataclass(frozen=True, slots=True)
class FoundFault:
    """One thing that is wrong.

    Args:
        code: the same for ever, for scripts; ``docs/doctor.md`` lists them.
        about: the object, such as ``topic ticklast``.
        what: what is wrong with it.
        cause: why, as far as it can be seen.
        mend: the command that mends it. Words in capitals are for the reader to fill in.
    """

    code: str
    severity: Severity
    about: str
    what: str
    cause: str
    mend: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of finding. ``means`` is its line in the documentation."""

    code: str
    severity: Severity
    means: str

    def found(self, about: str, what: str, cause: str, mend: str, *, severity: Severity | None = None) -> FoundFault:
        """Return a finding of this kind. ``severity``: another than the usual one."""
        return FoundFault(self.code, severity or self.severity, about, what, cause, mend)


def error(code: str, means: str) -> Fault:
    """Return a kind of finding because of which contracts are not streamed."""
    return Fault(code, Severity.ERROR, means)


def warning(code: str, means: str) -> Fault:
    """Return a kind of finding that endangers a feed or its readers."""
    return Fault(code, Severity.WARNING, means)


def note(code: str, means: str) -> Fault:
    """Return a kind of finding that only explains."""
    return Fault(code, Severity.NOTE, means)
