"""Checks condition ``AccountsAvailable``: every worker has an account that works."""

from __future__ import annotations

from collections.abc import Sequence

from ibfeed_api.kinds import shard_name
from ibfeed_api.lease import holder_of, pod_of
from ibfeed_api.logins import PageTrouble
from ibfeed_api.reasons import Condition, Reason
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import StatusInput, Worker
from ibfeed_operator.status.checks.common import problems_of, wanted
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult
from ibfeed_operator.status.worker_problems import (
    ACCOUNT_REASONS,
    grouped,
    page_problem_text,
    parked_text,
    refused_text,
)


def check_accounts(status_input: StatusInput) -> CheckResult:
    """Check that each wanted worker has an account, and that its login works."""
    feed = status_input.feed
    workers = wanted(status_input)

    def result(reason: Reason, texts: Sequence[str]) -> CheckResult:
        return CheckResult(Condition.ACCOUNTS_AVAILABLE, FALSE, reason, "; ".join(texts))

    accounts = feed.spec.accounts
    parked = [lease for lease in status_input.leases if lease.parked and lease.index in accounts.indices]
    parked_texts = [parked_text(lease, accounts, feed.namespace) for lease in parked]
    without = [
        shard_name(feed.name, worker.index)
        for worker in workers
        if worker.shard is not None and worker.shard.spec.account is None
    ]
    if without and not feed.spec.suspend:
        return result(Reason.TOO_FEW_ACCOUNTS, [_too_few_text(status_input, without), *parked_texts])
    failing = [(name, problem) for name, problem in problems_of(status_input) if problem.reason in ACCOUNT_REASONS]
    common = _page_trouble(status_input)
    if failing and common is not None:
        text = page_problem_text(common, accounts, feed.namespace)
        others = [one for one in failing if one[1].reason is not Reason.LOGIN_PAGE_TROUBLE]
        return result(Reason.LOGIN_PAGE_TROUBLE, [text, *grouped(others), *parked_texts])
    if failing:
        return result(failing[0][1].reason, [*grouped(failing), *parked_texts])
    if parked_texts:
        return result(Reason.ACCOUNT_PARKED, parked_texts)
    if feed.spec.suspend:
        message = "no account is in use while spec.suspend is true"
        return CheckResult(Condition.ACCOUNTS_AVAILABLE, UNKNOWN, Reason.SUSPENDED, message)
    holding = sum(_holds(worker) for worker in workers)
    message = f"{holding} of {plural(feed.spec.workers, 'worker')} hold an account"
    if holding < feed.spec.workers:
        return CheckResult(Condition.ACCOUNTS_AVAILABLE, UNKNOWN, Reason.PROGRESSING, message)
    had = {worker.shard.spec.account.index for worker in workers if worker.shard and worker.shard.spec.account}
    spare = [lease for lease in status_input.leases if lease.index in accounts.indices and lease.index not in had]
    message = "; ".join([message, *(refused_text(lease) for lease in spare if lease.failed and not lease.parked)])
    return CheckResult(Condition.ACCOUNTS_AVAILABLE, TRUE, Reason.ACCOUNTS_LEASED, message)


def _page_trouble(status_input: StatusInput) -> PageTrouble | None:
    """Return the failure of the login page that meets several accounts, if it concerns this feed's logins."""
    settings = status_input.feed.spec.for_worker.login_settings
    found = (trouble for lease in status_input.leases for trouble in lease.troubles)
    return next((trouble for trouble in found if trouble.common and trouble.settings == settings), None)


def _holds(worker: Worker) -> bool:
    pod, lease = worker.pod, worker.lease
    return pod is not None and lease is not None and lease.holder == holder_of(pod.name, pod.uid)


def _too_few_text(status_input: StatusInput, without: Sequence[str]) -> str:
    feed = status_input.feed
    accounts = feed.spec.accounts
    own = {shard_name(feed.name, worker.index) for worker in status_input.workers}
    elsewhere = [
        f"account {lease.index} is in use by {pod_of(lease.holder)}"
        for lease in status_input.leases
        if lease.index in accounts.indices and lease.holder and pod_of(lease.holder) not in own
    ]
    elsewhere += [f"account {index} is {where}" for index, where in sorted(status_input.elsewhere.items())]
    used = f" ({listed(elsewhere)})" if elsewhere else ""
    return (
        f"no account is left for {listed(without)}: the source {accounts.source} offers"
        f" {accounts.first} to {accounts.first + accounts.count - 1}{used};"
        " add accounts and raise spec.accounts.count, or ask for fewer workers"
    )
