"""The users who may look: one-time codes and sessions. Pure: the caller has the clock and the dice.

A token is exchanged for a code, and the code, within a minute and once, for a session. So no token ever comes to the
browser's address bar, its history or its storage. A session ends half an hour after its token was last reviewed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

CODE_S: Final = 60.0
SESSION_S: Final = 1800.0
MOST: Final = 500  # codes and sessions at a time


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the API server's TokenReview names them."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


@dataclass(slots=True)
class _Admission:
    user: Reviewed
    until: float  # of the code while it is unused, then of the session
    session: str = ""


class SignIns:
    """The codes and sessions that are valid. ``dice`` returns a text that cannot be guessed."""

    def __init__(self, dice: Callable[[], str]) -> None:
        self._dice: Final = dice
        self._by_code: Final[dict[str, _Admission]] = {}
        self._by_session: Final[dict[str, _Admission]] = {}

    def admit(self, user: Reviewed, now: float) -> str | None:
        """Return a one-time code for a user whose token was reviewed; None: there are too many of them."""
        self._forget(now)
        if len(self._by_code) >= MOST:
            return None
        code = self._dice()
        self._by_code[code] = _Admission(user, now + CODE_S)
        return code

    def renew(self, code: str, user: Reviewed, now: float) -> bool:
        """Prolong the session that began with ``code``, whose user's token was reviewed again."""
        self._forget(now)
        admission = self._by_code.get(code)
        if admission is None or not admission.session or admission.user.username != user.username:
            return False
        admission.user, admission.until = user, now + SESSION_S
        return True

    def redeem(self, code: str, now: float) -> str | None:
        """Return a new session for a code; None: it is unknown, used or too old."""
        self._forget(now)
        admission = self._by_code.get(code)
        if admission is None or admission.session:
            return None
        admission.session, admission.until = self._dice(), now + SESSION_S
        self._by_session[admission.session] = admission
        return admission.session

    def user(self, session: str, now: float) -> Reviewed | None:
        """Return whose session this is; None: nobody's."""
        self._forget(now)
        admission = self._by_session.get(session)
        return admission.user if admission is not None else None

    def end(self, session: str) -> None:
        """Sign out."""
        admission = self._by_session.pop(session, None)
        if admission is not None:
            admission.until = 0.0

    def _forget(self, now: float) -> None:
        for code in [code for code, one in self._by_code.items() if one.until <= now]:
            self._by_session.pop(self._by_code.pop(code).session, None)
