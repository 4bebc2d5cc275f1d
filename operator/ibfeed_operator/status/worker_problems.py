"""Finds out what keeps a worker from streaming: a reason, and a sentence on which a person can act."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ibfeed_api.feed import Accounts
from ibfeed_api.labels import (
    ANNOTATION_FAILED_LOGINS,
    ANNOTATION_NEXT_LOGIN,
    ANNOTATION_PAGE_TROUBLE,
    ANNOTATION_PARKED,
)
from ibfeed_api.lease import holder_of
from ibfeed_api.logins import PageTrouble
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_operator.model.text import listed
from ibfeed_operator.model.types import AccountLease, Feed, Health, Pod, Worker

# Reasons of a session that concern its account. They belong to AccountsAvailable, too.
ACCOUNT_REASONS: Final = frozenset(
    {
        Reason.LOGIN_FAILED,
        Reason.WRONG_CREDENTIALS,
        Reason.WRONG_MODE,
        Reason.ACCOUNT_LOCKED,
        Reason.ACCOUNT_PARKED,
        Reason.ACCOUNT_HELD,
        Reason.SECOND_FACTOR,
        Reason.NOT_PAPER,
        Reason.LOGIN_TIMEOUT,
        Reason.LOGIN_PAGE_CHANGED,
        Reason.LOGIN_PAGE_UNKNOWN,
        Reason.LOGIN_PAGE_TROUBLE,
        Reason.COMPETING,
        Reason.CREDENTIALS_MISSING,
        Reason.SECRET_MISSING,
        Reason.VAULT_UNREACHABLE,
        Reason.VAULT_DENIED,
    }
)

_SEVERE: Final = ACCOUNT_REASONS | {Reason.WORKER_FAILED}

# A pod that is being started has these reasons for a moment. They are a problem only if they last.
_ON_ITS_WAY: Final = frozenset({"", "ContainerCreating", "PodInitializing"})

# A hanging container would have been restarted by its liveness probe before. So its node is gone, or cut off.
NODE_SILENT_S: Final = 120.0

_CRASHING: Final = "CrashLoopBackOff"

# Advice for a person on a container that waits, by the reason that Kubernetes gives.
_CHECK_IMAGE: Final = "check spec.worker.image and spec.worker.imagePullSecrets, or the operator's IBFEED_WORKER_IMAGE"
_ADVICE: Final = {
    "ErrImagePull": _CHECK_IMAGE,
    "ImagePullBackOff": _CHECK_IMAGE,
    "InvalidImageName": _CHECK_IMAGE,
    "ErrImageNeverPull": _CHECK_IMAGE,
    "CreateContainerConfigError": "make the Secret or ConfigMap that spec.worker.env refers to, or correct it there",
    "Unschedulable": "make room on a node, or change resources, nodeSelector, tolerations or affinity in spec.worker",
}

REASONS: Final = {str(reason): reason for reason in Reason}

_PROGRESS: Final = {
    Session.STARTING: "starting",
    Session.WAITING_FOR_ACCOUNT: "waiting for its account's Lease",
    Session.STARTING_GATEWAY: "starting its gateway",
    Session.LOGGING_IN: "logging in",
    Session.CONNECTING: "connecting to the market data stream",
    Session.RECONNECTING: "reconnecting",
    Session.STOPPING: "logging out",
    Session.STOPPED: "stopped",
}


@dataclass(frozen=True, slots=True)
class WorkerProblem:
    """The reason for which a worker does not stream.

    ``severe``: a person should look at it. Otherwise it is a normal step of the worker's start or end.
    """

    reason: Reason
    text: str
    severe: bool


def problem_of(worker: Worker, feed: Feed) -> WorkerProblem | None:
    """Return why this worker does not stream, None if it does. The text does not name the worker."""
    if worker.health.streaming:
        return None
    pod, shard = worker.pod, worker.shard
    if worker.health.state is Health.LEAVING:
        return WorkerProblem(Reason.LEAVING, f"handing its contracts over: {worker.health.reason}", severe=False)
    if pod is None and worker.obstacle:
        return WorkerProblem(Reason.POD_REFUSED, worker.obstacle, severe=True)
    if pod is None:
        return WorkerProblem(Reason.POD_NOT_RUNNING, "its pod is about to be created", severe=False)
    if _silent_node(worker):
        text = (
            f"nothing has been heard of it for two minutes: node {pod.node} may be gone or cut off, and its pod is not"
            " replaced as long as that may come back; neither its contracts nor its account wait for it. If the node is"
            f" gone for good: kubectl -n {feed.namespace} delete pod {pod.name} --force --grace-period=0"
        )
        return WorkerProblem(Reason.NODE_UNREACHABLE, text, severe=True)
    if pod.deleting:
        return WorkerProblem(Reason.STOPPED, "logging out: its pod is being deleted", severe=False)
    if not pod.container_running:
        return _of_pod(pod, feed, worker.obstacle, _last_words(worker))
    if shard is not None and shard.spec.account is None:
        return WorkerProblem(Reason.TOO_FEW_ACCOUNTS, "no account is left for it", severe=True)
    status = shard.status if shard is not None else None
    if status is None or status.session is Session.STREAMING:
        # It has not reported yet, or the report is not believed (dead process, Lease not renewed).
        severe = worker.health.state is Health.LOST
        return WorkerProblem(Reason.PROGRESSING, worker.health.reason or "starting", severe=severe)
    reason = REASONS.get(status.reason, Reason.PROGRESSING)
    text = status.message or _PROGRESS.get(status.session) or f"{status.session} ({status.reason or 'no reason given'})"
    severe = status.session in (Session.BACKING_OFF, Session.PARKED) or reason in _SEVERE
    if reason is Reason.COMPETING and worker.rival:
        text = f"{text}; worker {worker.rival} has an account with the same user: give one of them another"
    return WorkerProblem(reason, text, severe=severe)


def _silent_node(worker: Worker) -> bool:
    """Whether a pod that is reported as running has not renewed its Lease for ``NODE_SILENT_S``."""
    pod, lease = worker.pod, worker.lease
    if pod is None or lease is None or not pod.container_running:
        return False
    return lease.holder == holder_of(pod.name, pod.uid) and lease.renew_seen_age_s >= NODE_SILENT_S


def is_on_its_way(pod: Pod) -> bool:
    """Whether a pod's container does not run yet, and nothing is reported but that it is about to."""
    return not pod.container_running and not pod.died_of and pod.waiting_reason in _ON_ITS_WAY


def _last_words(worker: Worker) -> str:
    """Return why the worker's last process ended itself; empty if it did not."""
    status = worker.shard.status if worker.shard is not None else None
    return status.message if status is not None and status.reason == Reason.WORKER_FAILED else ""


def _of_pod(pod: Pod, feed: Feed, obstacle: str, last_words: str) -> WorkerProblem:
    if last_words and pod.waiting_reason in ("", _CRASHING):
        return WorkerProblem(Reason.WORKER_FAILED, f"its worker failed: {last_words}; please report it", severe=True)
    details = [f"it died of {pod.died_of}"] if pod.died_of else []
    if pod.waiting_reason not in _ON_ITS_WAY:
        details += [f"{pod.waiting_reason}: {pod.waiting_message}" if pod.waiting_message else pod.waiting_reason]
    if pod.waiting_reason in _ADVICE:
        details += [_ADVICE[pod.waiting_reason]]
    elif pod.died_of == "OOMKilled":
        details += ["if it happens again, raise spec.worker.resources.limits.memory"]
    elif pod.died_of:
        details += [f"its last log: kubectl -n {feed.namespace} logs {pod.name} --previous"]
    if details:
        return WorkerProblem(Reason.POD_NOT_RUNNING, f"its container does not run: {'; '.join(details)}", severe=True)
    if obstacle:
        return WorkerProblem(Reason.POD_NOT_RUNNING, obstacle, severe=True)
    hint = f"; if it lasts, check that ConfigMap {feed.spec.extra_ca.name} is there" if feed.spec.extra_ca else ""
    return WorkerProblem(Reason.POD_NOT_RUNNING, f"its pod is being started{hint}", severe=False)


def grouped(problems: Iterable[tuple[str, WorkerProblem]]) -> list[str]:
    """Return one sentence for all workers (by name) with the same problem, in the order of the first of each."""
    return [f"{names}: {text}" for names, text in _with_names((name, problem.text) for name, problem in problems)]


def by_text(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return one sentence for all workers (by name) with the same text."""
    return [f"{names} {text}" for names, text in _with_names(texts)]


def _with_names(texts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    workers: dict[str, list[str]] = {}
    for name, text in texts:
        workers.setdefault(text, []).append(name)
    return [(listed(affected), text) for text, affected in workers.items()]


def credentials_place(accounts: Accounts, index: int) -> str:
    """Return where the user name and password of account ``index`` are, for a message."""
    if accounts.key_vault is not None:
        vault = accounts.key_vault
        return f"{vault.username_prefix}{index} and {vault.password_prefix}{index} in {vault.url}"
    return f"username-{index} and password-{index} in Secret {accounts.source}"


def page_problem_text(trouble: PageTrouble, accounts: Accounts, namespace: str) -> str:
    """Return advice on a login page that fails for several accounts alike."""
    when = f"; the next try is at {_moment(trouble.next_probe)}" if trouble.next_probe else ""
    return (
        f"IB's login page fails for accounts {', '.join(map(str, sorted(trouble.accounts)))} alike since"
        f' {_moment(trouble.since)} ({trouble.reason}: "{trouble.text}"): no other account is used, and none is parked'
        f"{when}. It ends by itself with the first login that passes; if these accounts alone are meant, check them,"
        f" and have all tried at once: kubectl -n {namespace} annotate lease/{accounts.logins_lease_name}"
        f" {ANNOTATION_PAGE_TROUBLE}-"
    )


def refused_text(lease: AccountLease) -> str:
    """Return the text on an account that was refused, is not parked and is not in use by a worker."""
    return f'account {lease.index} was refused ("{lease.last_failure}") and is tried again when a worker needs it'


def parked_text(lease: AccountLease, accounts: Accounts, namespace: str) -> str:
    """Return advice on a parked account."""
    history = lease.history
    texts = ", ".join(f'"{one.text}"' for one in history.said) or lease.last_failure
    why = f"{lease.parked}: {texts}" if texts else lease.parked
    since = f" since {_moment(history.parked_since)}" if history.parked_since else ""
    again = ""
    if history.try_again_at is not None:
        again = f"; a worker that needs it tries it again from {_moment(history.try_again_at)} on"
    annotations = " ".join(
        f"{annotation}-" for annotation in (ANNOTATION_PARKED, ANNOTATION_FAILED_LOGINS, ANNOTATION_NEXT_LOGIN)
    )
    return (
        f"account {lease.index} is parked{since} ({why}){again};"
        f" check {credentials_place(accounts, lease.index)}, then clear it:"
        f" kubectl -n {namespace} annotate lease/{lease.name} {annotations}"
    )


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
