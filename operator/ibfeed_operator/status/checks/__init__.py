"""Checks the conditions of a feed. Each module checks one condition of the status input."""

from __future__ import annotations

from ibfeed_operator.model.types import StatusInput
from ibfeed_operator.status.checks.accounts import check_accounts
from ibfeed_operator.status.checks.coverage import check_coverage
from ibfeed_operator.status.checks.kafka import check_kafka
from ibfeed_operator.status.checks.market_data import check_market_data
from ibfeed_operator.status.checks.placement import check_placement
from ibfeed_operator.status.checks.ready import check_ready
from ibfeed_operator.status.checks.rebalancing import check_rebalancing
from ibfeed_operator.status.checks.standbys import check_standbys
from ibfeed_operator.status.checks.suspended import check_suspended
from ibfeed_operator.status.checks.universe import check_universe
from ibfeed_operator.status.conditions import CheckResult
from ibfeed_operator.status.coverage import Coverage

__all__ = ["check_conditions"]


def check_conditions(status_input: StatusInput, coverage: Coverage) -> tuple[CheckResult, ...]:
    """Return the results of all conditions, ``Ready`` first."""
    parts = (
        check_universe(status_input),
        check_coverage(status_input, coverage),
        check_rebalancing(status_input, coverage),
        check_placement(status_input, coverage),
        check_standbys(status_input, coverage),
        check_accounts(status_input),
        check_kafka(status_input),
        check_market_data(status_input),
        check_suspended(status_input),
    )
    return (check_ready(status_input, coverage, {part.condition: part for part in parts}), *parts)
