"""The state of the session, for the IbShard's status, the probes and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import ClassVar, Final

from ibfeed_api.log import Log
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_worker.runtime.metrics import Metrics

_log: Final = Log(__name__)


# Reasons that IB's daily reset causes here.
_OF_A_RESET: Final = frozenset({Reason.SESSION_LOST, Reason.UPSTREAM_UNREACHABLE, Reason.NONSENSE_ANSWER})


@dataclass(frozen=True, slots=True)
class Contests:
    """A count of how often a session was taken from us and taken back.

    It is news until ``NEWS`` after the last time.
    """

    NEWS: ClassVar = timedelta(minutes=10)
    count: int = 0
    last: datetime | None = None

    def another(self, now: datetime) -> Contests:
        return Contests(self.count + 1 if self.are_news(now) else 1, now)

    def are_news(self, now: datetime) -> bool:
        return self.last is not None and now - self.last < self.NEWS

    @property
    def text(self) -> str:
        times = "once" if self.count == 1 else f"{self.count} times"
        return (
            f"another login took the session {times}, the last time at {self.last:%H:%M:%S} UTC, and it was taken "
            "back, as accounts.compete says: log out there, or give the feed an account of its own"
        )


class _Relogin(Enum):
    """The progress of a scheduled login."""

    NONE = "none"
    DUE = "due"  # streaming until others have the contracts
    UNDER_WAY = "under way"


class SessionStatus:
    """The state of the session, with reason and message.

    Args:
        on_change: called after each change.
        is_reset: whether IB's daily reset may be going on now.
    """

    def __init__(
        self, metrics: Metrics, on_change: Callable[[], None], is_reset: Callable[[], bool] = lambda: False
    ) -> None:
        self.session = Session.STARTING
        self.reason = ""
        self.message = ""
        self.account: int | None = None
        self._leaving = False
        self._relogin = _Relogin.NONE
        self._contests = Contests()
        self._on_change = on_change
        self._is_reset = is_reset
        self._reasons = metrics.session_reasons
        self._reason_gauge = metrics.session_reason
        self._gauge = metrics.session
        for state in Session:
            self._gauge.labels(state=state.value).set(state is self.session)

    def leave(self) -> None:
        """Note that we were told to stop. From now on ``Streaming`` has that reason, and says what it waits for."""
        self._leaving = True
        if self.session is Session.STREAMING:
            self.set(Session.STREAMING)

    def relogin_due(self) -> None:
        """Note that the session is to be replaced: ``Streaming`` with that reason asks to be relieved."""
        self._relogin = _Relogin.DUE
        if self.session is Session.STREAMING:
            self.set(Session.STREAMING)

    def relogin_begins(self) -> None:
        """Note that the login begins.

        Until the session streams again, or fails, the schedule is the reason for everything.
        """
        self._relogin = _Relogin.UNDER_WAY
        self.set(Session.LOGGING_IN)

    def relogin_over(self) -> None:
        self._relogin = _Relogin.NONE
        if self.session is Session.STREAMING:
            self.set(Session.STREAMING)

    def contested(self) -> None:
        """Note that another client took the session and we take it back.

        For a while that is the reason of ``Streaming``.
        """
        self._contests = self._contests.another(datetime.now(UTC))

    def set(self, session: Session, reason: Reason | None = None, message: str = "") -> None:
        """Set state, reason and message. Events that were noted before may give a reason in place of this one."""
        if session is Session.STREAMING:
            if self._relogin is _Relogin.UNDER_WAY:
                self._relogin = _Relogin.NONE
            if self._leaving:
                reason, message = Reason.LEAVING, "told to stop: streaming until other workers have the contracts"
            elif self._relogin is _Relogin.DUE:
                reason, message = Reason.RELOGIN_DUE, "to log in again on schedule: until others have the contracts"
            elif reason is None and self._contests.are_news(datetime.now(UTC)):
                reason, message = Reason.COMPETING, self._contests.text
        elif self._relogin is _Relogin.UNDER_WAY and reason is None:
            reason, message = Reason.RELOGIN_DUE, message or "logging in again on schedule"
        elif self._relogin is _Relogin.UNDER_WAY:
            self._relogin = _Relogin.NONE
        if reason in _OF_A_RESET and session is not Session.STREAMING and self._is_reset():
            reason, message = Reason.DAILY_RESET, f"IB resets sessions at this time of the night: {message}"
        said = (session, reason.value if reason else "", message)
        if said == (self.session, self.reason, self.message):
            return
        if reason is not None and reason.value != self.reason:
            self._reasons.labels(reason=reason.value).inc()
        self._reason_gauge.clear()
        if reason is not None:
            self._reason_gauge.labels(reason=reason.value).set(1)
        self._gauge.labels(state=self.session.value).set(0)
        self._gauge.labels(state=session.value).set(1)
        self.session, self.reason, self.message = said
        _log.info("session", state=session.value, reason=self.reason, message=message, account=self.account)
        self._on_change()

    def serve(self, account: int | None) -> None:
        """Set the account that the session belongs to."""
        if account != self.account:
            self.account = account
            self._on_change()
