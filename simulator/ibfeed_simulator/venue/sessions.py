"""SSO sessions (logins) and brokerage sessions, of which a username has one."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ibfeed_simulator.venue.users import User

MAX_AGE: Final = 24 * 3600.0
IDLE: Final = 360.0  # IB: 5 to 6 minutes without a request


@dataclass(frozen=True)
class Challenge:
    """The venue's question to a gateway that opens the brokerage session. ``compete``: it takes it from others."""

    text: str
    compete: bool


@dataclass(eq=False)
class SsoSession:
    """One login. Two logins of one user are two sessions, so they are compared by identity."""

    user: User
    created: float
    last_request: float
    token: str = field(default_factory=lambda: secrets.token_hex(24), repr=False)
    tickle_id: str = field(default_factory=lambda: secrets.token_hex(16))
    act_id: str = field(default_factory=lambda: f"{secrets.token_hex(4)[:7]}.{secrets.token_hex(4)}")
    connected: bool = False  # a brokerage session was opened at least once
    authenticated: bool = False  # the brokerage session is ours now
    competing: bool = False  # another session has taken it
    challenge: Challenge | None = None
    accounts_asked: bool = False
    preflighted: set[int] = field(default_factory=set)
    farm_open: bool = False  # the way to the historical data farm is open
    ended: bool = False

    def expires_in_ms(self, now: float) -> int:
        return max(0, int((self.created + MAX_AGE - now) * 1000))


@dataclass
class UserRecord:
    """The venue's memory of a user beyond sessions."""

    logins: int = 0
    failed_logins: int = 0  # in a row
    total_failed_logins: int = 0
    logouts: int = 0
    locked: bool = False


Status = dict[str, object]
Listener = Callable[[SsoSession, Status], None]


class Sessions:
    """All sessions of the venue. ``on_status`` gets partial ``sts`` news of a session, ``on_end`` its end."""

    def __init__(self, on_status: Listener, on_end: Callable[[SsoSession], None]) -> None:
        self._on_status = on_status
        self._on_end = on_end
        self._by_token: dict[str, SsoSession] = {}
        self._by_tickle: dict[str, SsoSession] = {}
        self._holders: dict[str, SsoSession] = {}
        self._strangers: set[str] = set()  # usernames whose brokerage session is held outside
        self._records: dict[str, UserRecord] = {}

    def record(self, username: str) -> UserRecord:
        return self._records.setdefault(username, UserRecord())

    @property
    def records(self) -> dict[str, UserRecord]:
        return self._records

    def all(self) -> list[SsoSession]:
        return list(self._by_token.values())

    def of(self, username: str | None) -> list[SsoSession]:
        """Return the sessions of one user, or of all for None."""
        return [session for session in self._by_token.values() if username in (None, session.user.username)]

    def by_token(self, token: str) -> SsoSession | None:
        return self._by_token.get(token)

    def by_tickle_id(self, tickle_id: str) -> SsoSession | None:
        return self._by_tickle.get(tickle_id)

    def log_in(self, user: User, now: float) -> SsoSession:
        """Begin a session.

        If another still holds the brokerage session, even a dead gateway, it shows ``competing``
        until its own ``ssodh/init`` takes it.
        """
        session = SsoSession(user, now, now)
        if user.username in self._holders or user.username in self._strangers:
            session.connected = session.competing = True
        self._by_token[session.token] = session
        self._by_tickle[session.tickle_id] = session
        record = self.record(user.username)
        record.logins += 1
        record.failed_logins = 0
        return session

    def open_brokerage(self, session: SsoSession, compete: bool) -> bool:
        """Take the user's brokerage session, as ``ssodh/init`` does. From another holder only with ``compete``."""
        username = session.user.username
        holder = self._holders.get(username)
        if (holder not in (None, session) or username in self._strangers) and not compete:
            session.connected, session.authenticated, session.competing = True, False, True
            return False
        self._strangers.discard(username)
        if holder is not None and holder is not session:
            self.lose_brokerage(holder, competing=True)
        already = session.authenticated
        self._holders[username] = session
        session.connected, session.authenticated, session.competing = True, True, False
        if not already:
            self._on_status(session, {"competing": False})
            self._on_status(session, {"authenticated": True})
        return True

    def stranger_takes(self, username: str) -> None:
        """Move the brokerage session to the user's phone."""
        self._strangers.add(username)
        holder = self._holders.get(username)
        if holder is not None:
            self.lose_brokerage(holder, competing=True)

    def stranger_leaves(self, username: str | None) -> int:
        """Log the user out on the phone, or all users for None. Return how many were logged in there."""
        gone = {name for name in self._strangers if username in (None, name)}
        self._strangers -= gone
        return len(gone)

    def lose_brokerage(self, session: SsoSession, competing: bool = False) -> None:
        """End the brokerage session. The SSO session stays ``connected`` but is no longer ``authenticated``."""
        if self._holders.get(session.user.username) is session:
            del self._holders[session.user.username]
        if not session.authenticated and session.competing == competing:
            return
        session.authenticated, session.competing = False, competing
        if competing:
            self._on_status(session, {"competing": True})
        self._on_status(session, {"authenticated": False})

    def end(self, session: SsoSession, logout: bool = False) -> None:
        if session.ended:
            return
        session.ended = True
        session.authenticated = False
        self._by_token.pop(session.token, None)
        self._by_tickle.pop(session.tickle_id, None)
        if self._holders.get(session.user.username) is session:
            del self._holders[session.user.username]
        if logout:
            self.record(session.user.username).logouts += 1
        self._on_end(session)

    def sweep(self, now: float) -> None:
        """End sessions that are older than a day, and brokerage sessions without requests."""
        for session in self.all():
            if now - session.created > MAX_AGE:
                self.end(session)
            elif session.authenticated and now - session.last_request > IDLE:
                self.lose_brokerage(session)
