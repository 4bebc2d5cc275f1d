"""Detection of a dead ladder, by the contract's own quotes, since a quiet market is no dead feed."""

from __future__ import annotations

from typing import Final

LONGEST_S: Final = 30.0
QUOTES: Final = 10


class LadderStaleness:
    """A watch over one ladder. It is dead when the quote has changed ``QUOTES`` times over ``LONGEST_S`` without a row.

    IB announces the end of no subscription; those of ``smd`` end in silence after 10 to 15 minutes. No source says the
    same of ``sbd``, and asking again might cut off a ladder that runs. So it is asked again only when it is dead.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._quotes = 0

    def rows(self) -> None:
        """Note that rows have come, or that a new subscription begins."""
        self._since = None
        self._quotes = 0

    def quote(self, now_s: float) -> bool:
        """Note that the best bid or ask, or its size, has changed. Return whether the ladder is dead by that."""
        if self._since is None:
            self._since = now_s
        self._quotes += 1
        return self._quotes >= QUOTES and now_s - self._since >= LONGEST_S
