"""Failures that are told to a person."""

from __future__ import annotations


class ProblemError(Exception):
    """A failure that the person at the keyboard can act on: what is wrong, and what to do about it.

    It is printed as it is, without a traceback.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  {self.remedy}" if self.remedy else self.what
