"""The next step for the session. Pure: a table from IB's answer to a step."""

from __future__ import annotations

from enum import Enum
from typing import Final

from ibfeed_worker.session.responses import Alive, AuthStatus, NoSession, Throttled, Tickle, Unavailable, Unknown

# The gateway opens the brokerage session by itself, authDelay (3 s) after a login. Only after that is there anything to
# repair.
SETTLE_S: Final = 20.0
REPAIR_AFTER_S: Final = 8.0
# IB may not know a session at once that a login has just opened. A second login would end it.
_KNOWN_AFTER_S: Final = SETTLE_S


class SessionStep(Enum):
    """A step of the session loop."""

    STREAM = "stream"  # all is well
    SETTLE = "settle"  # just logged in: the brokerage session is on its way
    REPAIR = "repair"  # ssodh/init, at once: within 30 s the gateway logs itself out
    TAKE = "take"  # ssodh/init that takes the session from our own, which ended without a logout
    LOGIN = "login"
    YIELD = "yield"  # another client has the session
    WAIT = "wait"  # the upstream is in trouble; ask again later
    KEEP_SILENT = "keep silent"  # penalty box


def next_step(tickle: Tickle, *, since_login: float | None, left_open: bool = False) -> SessionStep:
    """Return the step after an answer of ``/tickle``.

    Args:
        since_login: seconds since our last login that succeeded, if any.
        left_open: an earlier session of ours ended without a logout and was not taken back yet. So a session that
            competes just after the login is that one.
    """
    match tickle:
        case Alive(status=status):
            return _of_status(status, since_login, left_open)
        case NoSession():
            return SessionStep.SETTLE if since_login is not None and since_login < _KNOWN_AFTER_S else SessionStep.LOGIN
        case Throttled():
            return SessionStep.KEEP_SILENT
        case Unavailable() | Unknown():
            return SessionStep.WAIT


def _of_status(status: AuthStatus, since_login: float | None, left_open: bool) -> SessionStep:
    if status.competing and left_open and since_login is not None:
        # The gateway's own ssodh/init competes, and has not come yet.
        return SessionStep.SETTLE if since_login < REPAIR_AFTER_S else SessionStep.TAKE
    if status.competing:
        return SessionStep.YIELD
    if status.authenticated:
        return SessionStep.STREAM
    settling = since_login is not None and since_login < SETTLE_S
    if settling and since_login is not None and since_login < REPAIR_AFTER_S:
        return SessionStep.SETTLE
    if status.connected:
        return SessionStep.REPAIR
    return SessionStep.SETTLE if settling else SessionStep.LOGIN
