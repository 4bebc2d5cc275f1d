"""Keeps an eye on the shard's lines: applies the judge of silence to them, and counts what it says. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from ibfeed_api.log import Log
from ibfeed_api.shard import Entry
from ibfeed_worker.hours.hours import Hours
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.staleness import LinePaces, Patience, Sight, StalenessVerdict, assess_staleness

_log: Final = Log(__name__)
SILENT: Final = "IB had stopped sending without a word"


class StalenessMonitor:
    """Times are seconds since 1970."""

    def __init__(self, patience: Patience, hours: Callable[[Entry], Hours]) -> None:
        self._patience: Final = patience
        self._hours: Final = hours
        self._feed = LinePaces()
        self.silent_in_a_row = 0  # connections that brought nothing
        self._trading = False  # at least one contract that is watched
        self.suspected = 0
        self.died = 0

    @property
    def dead(self) -> int:
        """Contracts that IB sends nothing of."""
        return sum(line.dead for line in self._feed.lines.values())

    @property
    def mute(self) -> bool:
        """Whether the connection before this one brought nothing, and nothing has come since, though something trades.

        That IB has the session proves nothing then.
        """
        return self.silent_in_a_row > 0 and self._trading

    def heard(self) -> None:
        """A frame came, the first one of its contract."""
        self.silent_in_a_row = 0

    def begin_connection(self, now: float) -> None:
        """A connection: every contract is subscribed again. Their known pace stays."""
        asked = {conid: line.begun(now) for conid, line in self._feed.lines.items()}
        self._feed = LinePaces(asked)

    def look(self, contracts: Mapping[int, Contract], subscribed: Collection[int], now: float) -> StalenessVerdict:
        """Find lines to ask for and to subscribe again. Contracts are told, so that missing updates become a gap."""
        watched = {conid: contracts[conid] for conid in subscribed if conid in contracts}
        sights = {
            conid: Sight(contract.last_frame_s, self._hours(contract.entry).open_since(now), contract.broke_s)
            for conid, contract in watched.items()
        }
        self._trading = any(sight.open_since is not None for sight in sights.values())
        verdict = assess_staleness(self._feed, sights, now, self._patience, silent_before=self.silent_in_a_row)
        self._feed = verdict.feed
        self.suspected += len(verdict.renew)
        self.died += len(verdict.died)
        for conid in verdict.renew:
            watched[conid].suspect(SILENT)
        for conid in verdict.died:
            contract = watched[conid]
            if contract.confirmed:
                _log.warning(
                    "IB sends nothing of a contract: subscribing it again",
                    conid=contract.entry.conid,
                    symbol=contract.entry.symbol,
                )
            contract.disconnected(SILENT)
        for conid in verdict.unproven:
            watched[conid].fall_silent(SILENT)
        self.silent_in_a_row += verdict.silent
        return verdict

    def trading(self, contracts: Collection[Contract], now: float) -> int:
        """Contracts that are to be published and trade, as far as their hours are known."""
        return sum(
            contract.publishes and self._hours(contract.entry).open_since(now) is not None for contract in contracts
        )

    def unknown(self, contracts: Collection[Contract], now: float) -> int:
        """Contracts whose hours are not known: their silence is not judged."""
        return sum(not self._hours(contract.entry).knows(now) for contract in contracts)
