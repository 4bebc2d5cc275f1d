"""Whether a ladder has gone silent: judged by the contract's own quotes, since a quiet market is no dead feed."""

from __future__ import annotations

from typing import Final

LONGEST_S: Final = 30.0
QUOTES: Final = 10


class LadderStaleness:
    """A ladder is dead when the quote has changed ``QUOTES`` times over ``LONGEST_S`` and no row has come meanwhile.

    IB says of no subscription that it ends; those of ``smd`` do so in silence after 10 to 15 minutes. Nothing says the
    same of ``sbd``, and asking again might cut off a ladder that runs: so it is asked again only when it is dead.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._quotes = 0

    def rows(self) -> None:
        """Rows have come, or a new subscription begins."""
        self._since = None
        self._quotes = 0

    def quote(self, now_s: float) -> bool:
        """The best bid or ask, or its size, has changed; whether the ladder is dead by that."""
        if self._since is None:
            self._since = now_s
        self._quotes += 1
        return self._quotes >= QUOTES and now_s - self._since >= LONGEST_S
