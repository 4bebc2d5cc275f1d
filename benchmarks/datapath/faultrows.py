"""Every fault that the simulator knows, and how a worker has to come out of it. Pure: rows only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_simulator.venue.faults import Action, Condition


class Begins(Enum):
    LOGIN = "before the worker starts"
    STREAM = "while it streams"


@dataclass(frozen=True, slots=True)
class Fault:
    """``value``, ``seconds``, ``count`` as the control API takes them. ``whole``: of everybody, not of one user."""

    name: str
    value: str | float | None = None
    seconds: float | None = None
    count: int | None = None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Says:
    """What ``IbShard.status`` has to say; ``reason`` None: any."""

    session: Session
    reason: Reason | None = None


_PACE_S: Final = 40.0
STREAMS: Final = Says(Session.STREAMING)


def parks(reason: Reason) -> Says:
    return Says(Session.PARKED, reason)


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, and how a worker has to come out of it.

    ``faults`` are set in this order. When ``lasts_s`` are over, or the status has said what it ``shows``, those that
    last are ended. Within ``within_s`` after that the worker says ``ends``; if that is to stream, every contract is on
    Kafka again, nothing has come twice, and what is missing lies in a gap.
    """

    name: str
    faults: tuple[Fault, ...]
    begins: Begins = Begins.STREAM
    calm_s: float = 1.5
    lasts_s: float = 0.0
    shows: Says | None = None
    ends: Says = STREAMS
    within_s: float = 40.0

    @property
    def alone(self) -> bool:
        """It meets everybody at the venue, so nobody else may be there."""
        return any(fault.whole for fault in self.faults)


def _login(
    name: Condition,
    ends: Says = STREAMS,
    *,
    value: float | None = None,
    shows: Says | None = None,
    count: int | None = None,
    whole: bool = False,
    within_s: float = 75.0,
) -> Row:
    fault = Fault(name, value, count=count, whole=whole)
    return Row(name, (fault,), Begins.LOGIN, shows=shows, ends=ends, within_s=within_s)


def _asked(name: Condition, lasts_s: float = 6.0, *, value: float | None = None, within_s: float = 40.0) -> Row:
    """A fault of REST calls, which a worker makes at once when its websocket breaks."""
    return Row(name, (Fault(name, value), Fault(Action.DROP_WEBSOCKET)), lasts_s=lasts_s, within_s=within_s)


ROWS: Final = (
    # At login.
    _login(Condition.PAGE_VERSION_1, whole=True),
    _login(Condition.PAGE_VERSION_2, whole=True),
    _login(Condition.PAGE_SLOW, value=5, whole=True),
    _login(Condition.PAGE_CHANGED, shows=Says(Session.BACKING_OFF, Reason.LOGIN_PAGE_CHANGED), whole=True),
    _login(Condition.BANNER, whole=True),
    _login(Condition.IBKEY_PROMO, count=1),
    _login(Condition.NOTICE, count=1),
    _login(Condition.AGREEMENT, Says(Session.BACKING_OFF, Reason.LOGIN_PAGE_UNKNOWN)),
    # What is not known is tried again after a minute.
    _login(Condition.REFUSED, shows=Says(Session.BACKING_OFF, Reason.LOGIN_FAILED), within_s=100),
    _login(Condition.WRONG_PASSWORD, parks(Reason.WRONG_CREDENTIALS)),
    _login(Condition.WRONG_MODE),  # the page begins in live mode, and is switched
    _login(Condition.LOCKED, parks(Reason.ACCOUNT_LOCKED)),
    _login(Condition.SECOND_FACTOR, parks(Reason.SECOND_FACTOR)),
    _login(Condition.NOT_PAPER, parks(Reason.NOT_PAPER)),
    # Of every call.
    Row(Condition.MAINTENANCE, (Fault(Condition.MAINTENANCE), Fault(Action.DROP_WEBSOCKET)), lasts_s=10),
    Row(
        "maintenance at login",
        (Fault(Condition.MAINTENANCE, whole=True),),
        Begins.LOGIN,
        shows=Says(Session.RECONNECTING, Reason.UPSTREAM_UNREACHABLE),
        within_s=75,
    ),
    _asked(Condition.SLOW, value=2),
    Row(Condition.HANG, (Fault(Condition.HANG),), lasts_s=35, within_s=60),
    _asked(Condition.GARBAGE_REST),
    Row(Condition.KILL_GATEWAY, (Fault(Condition.KILL_GATEWAY, count=1), Fault(Action.DROP_WEBSOCKET)), within_s=60),
    _asked(Condition.UNAUTHORIZED, within_s=75),
    # Of single calls.
    _asked(Condition.TICKLE_401, within_s=75),
    _asked(Condition.TICKLE_500),
    _asked(Condition.TICKLE_503),
    _asked(Condition.NO_SESSION, within_s=75),
    Row(
        Condition.INIT_REFUSED,
        (Fault(Condition.INIT_REFUSED), Fault(Action.EXPIRE_BROKERAGE)),
        lasts_s=8,
        within_s=90,
    ),
    Row(Condition.UNKNOWN_ROOTS, (Fault(Condition.UNKNOWN_ROOTS),), lasts_s=3),
    Row(Condition.FEWER_CONTRACTS, (Fault(Condition.FEWER_CONTRACTS, 1),), lasts_s=3),
    Row(Condition.NO_MONTH, (Fault(Condition.NO_MONTH),), lasts_s=3),
    Row(Condition.NO_SCHEDULE, (Fault(Condition.NO_SCHEDULE),), lasts_s=3),
    # Of the websocket.
    Row(Condition.SILENT_FEED, (Fault(Condition.SILENT_FEED),), calm_s=_PACE_S, lasts_s=60, within_s=60),
    Row(Condition.NO_HEARTBEAT, (Fault(Condition.NO_HEARTBEAT),), lasts_s=32),
    Row(Condition.DEAF, (Fault(Condition.DEAF),), lasts_s=3),
    Row(
        Condition.REFUSE_SUBSCRIPTION,
        (Fault(Condition.REFUSE_SUBSCRIPTION), Fault(Action.DROP_WEBSOCKET)),
        lasts_s=8,
        shows=Says(Session.STREAMING, Reason.SUBSCRIPTION_REFUSED),
        within_s=120,
    ),
    Row(Condition.REFUSE_LADDER, (Fault(Condition.REFUSE_LADDER), Fault(Action.DROP_WEBSOCKET)), lasts_s=3),
    Row(Condition.DELAYED, (Fault(Condition.DELAYED),), lasts_s=3),
    Row(Condition.HALTED, (Fault(Condition.HALTED),), lasts_s=3),
    Row(Condition.FRAGMENTED, (Fault(Condition.FRAGMENTED, 50), Fault(Action.DROP_WEBSOCKET)), lasts_s=8),
    Row(Action.DROP_WEBSOCKET, (Fault(Action.DROP_WEBSOCKET),)),
    Row(Action.ABORT_WEBSOCKET, (Fault(Action.ABORT_WEBSOCKET),)),
    Row(Action.EXPIRE_BROKERAGE, (Fault(Action.EXPIRE_BROKERAGE),)),
    Row(Action.EXPIRE_SSO, (Fault(Action.EXPIRE_SSO),), within_s=60),
    Row(Action.DAILY_RESET, (Fault(Action.DAILY_RESET, 10, whole=True),), lasts_s=10, within_s=90),
    Row(Action.EXPIRE_SUBSCRIPTIONS, (Fault(Action.EXPIRE_SUBSCRIPTIONS),), calm_s=_PACE_S, within_s=90),
    Row(Action.FREEZE, (Fault(Action.FREEZE),), calm_s=_PACE_S, within_s=90),
    Row(Action.COMPETE, (Fault(Action.COMPETE),), ends=Says(Session.BACKING_OFF, Reason.COMPETING), within_s=45),
    Row(
        Action.PENALTY,
        (Fault(Action.PENALTY, 100, whole=True),),
        shows=Says(Session.STREAMING, Reason.PENALTY_BOX),
        within_s=80,
    ),
    Row(Action.GARBAGE_FRAME, (Fault(Action.GARBAGE_FRAME),)),
    Row(Action.NON_UTF8_FRAME, (Fault(Action.NON_UTF8_FRAME),)),
    Row(Action.BIG_FRAME, (Fault(Action.BIG_FRAME),)),
)
NO_FAULTS: Final = frozenset({Action.UNLOCK, Action.FORGIVE, Action.YIELD})  # they end others
