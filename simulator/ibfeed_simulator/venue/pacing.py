"""IB's pacing limits, and the penalty box for the address that breaks one."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Limit:
    """At most ``count`` requests in any ``seconds``."""

    count: int
    seconds: float


# A user has 10 requests a second through the gateway, and 50 without it. For single endpoints IB publishes an average,
# and the gateway's own calls are added to the client's: it tickles by itself, and validates twice when it repeats a
# login. So a short burst passes.
GATEWAY_LIMIT: Final = Limit(10, 1.0)
DIRECT_LIMIT: Final = Limit(50, 1.0)
ENDPOINT_LIMITS: Final[dict[str, Limit]] = {
    "/tickle": Limit(5, 5.0),
    "/sso/validate": Limit(10, 60.0),
    "/iserver/marketdata/snapshot": Limit(10, 1.0),
    "/iserver/marketdata/history": Limit(5, 1.0),
    "/iserver/account/orders": Limit(5, 25.0),
    "/iserver/account/pnl/partitioned": Limit(5, 25.0),
    "/iserver/account/trades": Limit(5, 25.0),
    "/iserver/scanner/params": Limit(5, 4500.0),
    "/iserver/scanner/run": Limit(5, 5.0),
    "/portfolio/accounts": Limit(5, 25.0),
    "/portfolio/subaccounts": Limit(5, 25.0),
    "/pa/allperiods": Limit(5, 4500.0),
    "/pa/performance": Limit(5, 4500.0),
    "/pa/transactions": Limit(5, 4500.0),
    "/fyi/notifications": Limit(5, 5.0),
    "/fyi/settings": Limit(5, 5.0),
    "/fyi/unreadnumber": Limit(5, 5.0),
}


class Pacing:
    def __init__(self, penalty_seconds: float) -> None:
        self._penalty_seconds = penalty_seconds
        self._history: dict[tuple[str, str], deque[float]] = {}
        self._penalised: dict[str, float] = {}

    def allow(self, username: str, address: str, endpoint: str, through_gateway: bool) -> bool:
        """Count one request. False: answer 429, and refuse the address for the length of the penalty."""
        now = time.monotonic()
        if self.penalised(address):
            return False
        general = GATEWAY_LIMIT if through_gateway else DIRECT_LIMIT
        within = self._within(username, "", general, now)
        limit = ENDPOINT_LIMITS.get(endpoint)
        if limit is not None:
            within = self._within(username, endpoint, limit, now) and within
        if not within:
            self.penalise(address)
        return within

    def _within(self, username: str, endpoint: str, limit: Limit, now: float) -> bool:
        times = self._history.setdefault((username, endpoint), deque())
        while times and times[0] <= now - limit.seconds:
            times.popleft()
        times.append(now)
        return len(times) <= limit.count

    def penalise(self, address: str, seconds: float | None = None) -> None:
        self._penalised[address] = time.monotonic() + (self._penalty_seconds if seconds is None else seconds)

    def penalised(self, address: str) -> bool:
        until = self._penalised.get(address)
        if until is None:
            return False
        if time.monotonic() >= until:
            del self._penalised[address]
            return False
        return True

    def forgive(self) -> None:
        self._penalised.clear()
        self._history.clear()

    def state(self) -> dict[str, float]:
        """Return the penalised addresses and the seconds that each has left."""
        now = time.monotonic()
        return {address: round(until - now, 1) for address, until in self._penalised.items() if until > now}
