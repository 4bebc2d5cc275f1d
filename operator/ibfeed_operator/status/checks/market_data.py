"""Checks condition ``MarketDataLive``: IB sends live data, not delayed or frozen data."""

from __future__ import annotations

from ibfeed_api.kinds import shard_name
from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import listed
from ibfeed_operator.model.types import StatusInput, Worker
from ibfeed_operator.status.checks.common import reporting
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult


def check_market_data(status_input: StatusInput) -> CheckResult:
    """Check that no streaming worker reports delayed or frozen data."""
    streaming = [worker for worker in reporting(status_input) if worker.health.streaming]
    delayed = [worker for worker in streaming if _live(worker) is False]
    if delayed:
        at = listed(
            f"{shard_name(status_input.feed.name, worker.index)} (account {_account(worker)})" for worker in delayed
        )
        message = (
            f"{at} gets delayed or frozen data: subscribe to the market data at IB, or share the live user's data with"
            " the paper account (Client Portal > Settings > Paper Trading Account)"
        )
        return CheckResult(Condition.MARKET_DATA_LIVE, FALSE, Reason.DELAYED, message)
    if any(_live(worker) for worker in streaming):
        return CheckResult(Condition.MARKET_DATA_LIVE, TRUE, Reason.LIVE, "IB marks the data as live")
    return CheckResult(
        Condition.MARKET_DATA_LIVE, UNKNOWN, Reason.UNKNOWN, "IB has not said yet whether the data is live"
    )


def _live(worker: Worker) -> bool | None:
    status = worker.shard.status if worker.shard is not None else None
    return status.market_data_live if status is not None else None


def _account(worker: Worker) -> str:
    account = worker.shard.spec.account if worker.shard is not None else None
    return str(account.index) if account is not None else "-"
