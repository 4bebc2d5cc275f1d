"""Faults on demand: a table of names, each with a scope (one user or all), a duration and a count.

A condition lasts until its seconds or its count run out, or until it is cleared. An action happens once, at once.
To add a condition, add its row, and ask ``conditions.take_fault`` or ``conditions.active`` where it matters.
To add an action, add its row, and register what it does in ``Venue.actions``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Condition(StrEnum):
    """Faults that last."""

    # At login.
    WRONG_PASSWORD = "wrong_password"
    WRONG_MODE = "wrong_mode"
    LOCKED = "locked"
    SECOND_FACTOR = "second_factor"
    REFUSED = "refused"
    IBKEY_PROMO = "ibkey_promo"
    NOTICE = "notice"
    AGREEMENT = "agreement"
    BANNER = "banner"
    PAGE_VERSION_1 = "page_version_1"
    PAGE_VERSION_2 = "page_version_2"
    PAGE_CHANGED = "page_changed"
    PAGE_SLOW = "page_slow"
    # Of every call.
    MAINTENANCE = "maintenance"
    SLOW = "slow"
    HANG = "hang"
    GARBAGE_REST = "garbage_rest"
    KILL_GATEWAY = "kill_gateway"
    UNAUTHORIZED = "unauthorized"
    # Of single calls.
    TICKLE_401 = "tickle_401"
    TICKLE_500 = "tickle_500"
    TICKLE_503 = "tickle_503"
    NO_SESSION = "no_session"
    INIT_REFUSED = "init_refused"
    NOT_PAPER = "not_paper"
    UNKNOWN_ROOTS = "unknown_roots"
    FEWER_CONTRACTS = "fewer_contracts"
    NO_MONTH = "no_month"
    NO_SCHEDULE = "no_schedule"
    # Of the websocket.
    SILENT_FEED = "silent_feed"
    NO_HEARTBEAT = "no_heartbeat"
    DELAYED = "delayed"
    HALTED = "halted"
    FRAGMENTED = "fragmented"
    DEAF = "deaf"
    REFUSE_SUBSCRIPTION = "refuse_subscription"
    REFUSE_LADDER = "refuse_ladder"


class Action(StrEnum):
    """Faults that happen at once."""

    DROP_WEBSOCKET = "drop_websocket"
    ABORT_WEBSOCKET = "abort_websocket"
    EXPIRE_BROKERAGE = "expire_brokerage"
    EXPIRE_SSO = "expire_sso"
    DAILY_RESET = "daily_reset"
    EXPIRE_SUBSCRIPTIONS = "expire_subscriptions"
    FREEZE = "freeze"
    COMPETE = "compete"
    YIELD = "yield"
    UNLOCK = "unlock"
    PENALTY = "penalty"
    FORGIVE = "forgive"
    GARBAGE_FRAME = "garbage_frame"
    NON_UTF8_FRAME = "non_utf8_frame"
    BIG_FRAME = "big_frame"


CATALOGUE: Final[dict[str, str]] = {
    Condition.WRONG_PASSWORD: "the user's password is refused (and counted towards the lock)",
    Condition.WRONG_MODE: "the page says that the user is a paper user in live mode",
    Condition.LOCKED: "the user is told that the account is locked",
    Condition.SECOND_FACTOR: "the page asks for a second factor after the password",
    Condition.REFUSED: "the page refuses the login with the text `value`, by default ERROR; it counts towards no lock",
    Condition.IBKEY_PROMO: "an advertisement for IB Key comes after the password, with a button that leads on",
    Condition.NOTICE: 'a notice comes after the password, with the button "I understand"',
    Condition.AGREEMENT: "an agreement that the owner has to sign comes after the password",
    Condition.BANNER: "a banner lies over the login page: a click on the button meets the banner",
    Condition.PAGE_VERSION_1: "the login page is the old one",
    Condition.PAGE_VERSION_2: "the login page is the current one",
    Condition.PAGE_CHANGED: "the login page has other element names than anybody knows",
    Condition.PAGE_SLOW: "the login page takes `value` seconds",
    Condition.MAINTENANCE: "503 and an HTML page for everything",
    Condition.SLOW: "every answer comes `value` seconds late",
    Condition.HANG: "no answer to anything, no frame, until it ends",
    Condition.GARBAGE_REST: "answers are bytes that are no JSON and no UTF-8",
    Condition.KILL_GATEWAY: "the stand-in gateway exits, at the latest at its next call; once, or `count` times",
    Condition.UNAUTHORIZED: "401 with an empty body",
    Condition.TICKLE_401: "tickle answers 401",
    Condition.TICKLE_500: "tickle answers 500 Internal Server Error",
    Condition.TICKLE_503: "tickle answers 503 Service Unavailable",
    Condition.NO_SESSION: 'tickle answers 200 {"error":"no session"}',
    Condition.INIT_REFUSED: "ssodh/init does not give a brokerage session",
    Condition.NOT_PAPER: "the session says isPaper false",
    Condition.UNKNOWN_ROOTS: "trsrv/futures knows no root",
    Condition.FEWER_CONTRACTS: "trsrv/futures leaves out all but the first `value` contracts",
    Condition.NO_MONTH: "the information of contract `value` (a conid), or of all of them, names no month",
    Condition.NO_SCHEDULE: "trading schedules are refused with 500; `value`: only those by contract, or by venue",
    Condition.SILENT_FEED: "heartbeats go on, market data does not; `value`: only this conid",
    Condition.NO_HEARTBEAT: "market data goes on, heartbeats do not",
    Condition.DELAYED: "market data availability (6509) is `value`, by default DpB",
    Condition.HALTED: "the last price carries an H",
    Condition.FRAGMENTED: "frames of new websockets come as fragments of `value` bytes",
    Condition.DEAF: "umd changes nothing: market data goes on",
    Action.DROP_WEBSOCKET: "close websockets with code 1001",
    Action.ABORT_WEBSOCKET: "cut websockets without a close frame",
    Action.EXPIRE_BROKERAGE: "end the brokerage session; the login stays",
    Action.EXPIRE_SSO: "end the login",
    Action.DAILY_RESET: "what IB does at night: every session ends, and `value` seconds of maintenance follow",
    Condition.REFUSE_SUBSCRIPTION: "smd is answered with an error frame; `value`: only of this conid",
    Condition.REFUSE_LADDER: "sbd is answered with an error frame",
    Action.EXPIRE_SUBSCRIPTIONS: "let all subscriptions, or that of conid `value`, expire now, without a word",
    Action.FREEZE: "let subscriptions, or that of conid `value`, send nothing more until ended and begun again",
    Action.COMPETE: "the user logs in somewhere else and takes the brokerage session",
    Action.YIELD: "the user logs out there again",
    Action.UNLOCK: "unlock the account and forget failed logins",
    Action.PENALTY: "put the addresses of the user's websockets in the penalty box (429), for `value` seconds",
    Action.FORGIVE: "empty the penalty box",
    Action.GARBAGE_FRAME: "send a frame that is no JSON",
    Action.NON_UTF8_FRAME: "send a frame that is no UTF-8 once the gateway has recoded it",
    Action.BIG_FRAME: "send a frame of `value` bytes (by default 70,000, which closes a gateway's socket)",
}

# The page does not know its user before the login.
FOR_ALL_ONLY: Final = frozenset(
    {
        Condition.PAGE_VERSION_1,
        Condition.PAGE_VERSION_2,
        Condition.PAGE_CHANGED,
        Condition.PAGE_SLOW,
        Condition.BANNER,
    }
)

Perform = Callable[[str | None, float | None], int]
"""``(username or None for all, value) -> number of users, sessions or websockets that it met``."""


@dataclass
class ActiveFault:
    condition: Condition
    username: str | None
    value: str | float | None
    until: float | None  # on the monotonic clock
    remaining: int | None


class Conditions:
    """The faults that hold now."""

    def __init__(self) -> None:
        self._active: list[ActiveFault] = []

    def set(
        self,
        condition: Condition,
        username: str | None = None,
        value: str | float | None = None,
        seconds: float | None = None,
        count: int | None = None,
    ) -> None:
        """Begin a condition. It replaces the same condition of the same scope."""
        self.clear(condition, username, exactly=True)
        until = None if seconds is None else time.monotonic() + seconds
        self._active.append(ActiveFault(condition, username, value, until, count))

    def clear(self, condition: Condition | None = None, username: str | None = None, exactly: bool = False) -> None:
        """End one condition, or all for None; of one user, or of every user for None.

        ``exactly``: only the condition that was set for exactly this user, or for all users.
        """

        def meant(active: ActiveFault) -> bool:
            if condition not in (None, active.condition):
                return False
            return active.username == username if exactly or username is not None else True

        self._active = [active for active in self._active if not meant(active)]

    @property
    def quiet(self) -> bool:
        """Whether no fault is on. Then the hot path need not ask for each."""
        return not self._active

    def active(self, condition: Condition, username: str | None) -> ActiveFault | None:
        """Return the condition if it holds for the user, alone or as one of all users."""
        if not self._active:
            return None
        now = time.monotonic()
        for active in self._active:
            if active.condition is condition and active.username in (None, username):
                if active.until is not None and now >= active.until:
                    continue
                return active
        return None

    def take_fault(self, condition: Condition, username: str | None) -> ActiveFault | None:
        """Return the condition as ``active`` does, and use up one of its count."""
        active = self.active(condition, username)
        if active is not None and active.remaining is not None:
            active.remaining -= 1
            if active.remaining <= 0:
                self._active.remove(active)
        return active

    def state(self) -> list[dict[str, object]]:
        now = time.monotonic()
        self._active = [active for active in self._active if active.until is None or active.until > now]
        return [
            {
                "fault": active.condition.value,
                "username": active.username,
                "value": active.value,
                "seconds_left": None if active.until is None else round(active.until - now, 1),
                "count_left": active.remaining,
            }
            for active in self._active
        ]


def number(value: str | float | None, default: float) -> float:
    """Return a fault's ``value`` as a number. Raises ValueError for a text that is none."""
    return default if value is None else float(value)
