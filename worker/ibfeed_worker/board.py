"""Where the session stands, for the IbShard's status, the probes and the metrics."""

from __future__ import annotations

from collections.abc import Callable

from ibfeed_api.names import Reason, Session
from ibfeed_worker.log import Log
from ibfeed_worker.metrics import Metrics

_log = Log(__name__)


class Board:
    """``on_change`` is called after each change."""

    def __init__(self, metrics: Metrics, on_change: Callable[[], None]) -> None:
        self.session = Session.STARTING
        self.reason = ""
        self.message = ""
        self.account: int | None = None
        self._leaving = False
        self._on_change = on_change
        self._gauge = metrics.session
        for state in Session:
            self._gauge.labels(state=state.value).set(state is self.session)

    def leave(self) -> None:
        """We were told to stop: from now on ``Streaming`` is said with that reason, and so is what it waits for."""
        self._leaving = True
        if self.session is Session.STREAMING:
            self.say(Session.STREAMING)

    def say(self, session: Session, reason: Reason | None = None, message: str = "") -> None:
        if self._leaving and session is Session.STREAMING:
            reason, message = Reason.LEAVING, "told to stop: streaming until other workers have the contracts"
        said = (session, reason.value if reason else "", message)
        if said == (self.session, self.reason, self.message):
            return
        self._gauge.labels(state=self.session.value).set(0)
        self._gauge.labels(state=session.value).set(1)
        self.session, self.reason, self.message = said
        _log.info("session", state=session.value, reason=self.reason, message=message, account=self.account)
        self._on_change()

    def serve(self, account: int | None) -> None:
        """Say which account's session this is about."""
        if account != self.account:
            self.account = account
            self._on_change()
