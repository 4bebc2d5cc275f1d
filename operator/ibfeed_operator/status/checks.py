"""The conditions of a feed, each a question put to the situation and answered in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ibfeed_api.kinds import shard_name
from ibfeed_api.lease import holder_of, pod_of
from ibfeed_api.logins import PageTrouble
from ibfeed_api.reasons import Condition, Reason
from ibfeed_api.shard import ContractState, KafkaStatus
from ibfeed_operator.model.text import listed, plural
from ibfeed_operator.model.types import (
    Contract,
    KafkaAccess,
    PinProblem,
    RootProblem,
    RootProblemKind,
    StatusInput,
    UnassignedReason,
    Worker,
)
from ibfeed_operator.status.conditions import FALSE, TRUE, UNKNOWN, CheckResult, Truth
from ibfeed_operator.status.coverage import Coverage, why_not
from ibfeed_operator.status.worker_problems import (
    ACCOUNT_REASONS,
    REASONS,
    WorkerProblem,
    by_text,
    grouped,
    page_problem_text,
    parked_text,
    problem_of,
    refused_text,
)


def check_conditions(status_input: StatusInput, coverage: Coverage) -> tuple[CheckResult, ...]:
    """All conditions, ``Ready`` first."""
    parts = (
        _universe(status_input),
        _covered(status_input, coverage),
        _rebalancing(status_input, coverage),
        _placement(status_input, coverage),
        _accounts(status_input),
        _kafka(status_input),
        _market_data(status_input),
        _suspended(status_input),
    )
    return (_ready(status_input, coverage, {part.condition: part for part in parts}), *parts)


def wanted(status_input: StatusInput) -> tuple[Worker, ...]:
    """The workers that the spec asks for, without those that are on their way out."""
    return tuple(worker for worker in status_input.workers if worker.index < status_input.feed.spec.workers)


def streaming_count(status_input: StatusInput) -> int:
    return sum(worker.health.streaming for worker in wanted(status_input))


def troubles(status_input: StatusInput) -> list[tuple[str, WorkerProblem]]:
    """Name and trouble of each wanted worker that does not stream."""
    feed = status_input.feed
    found = ((shard_name(feed.name, worker.index), problem_of(worker, feed)) for worker in wanted(status_input))
    return [(name, trouble) for name, trouble in found if trouble is not None]


# Is each root known?

ROOT_REASONS: Final = {  # the worst first
    RootProblemKind.UNKNOWN: Reason.UNKNOWN_ROOT,
    RootProblemKind.AMBIGUOUS: Reason.AMBIGUOUS_ROOT,
    RootProblemKind.SHRANK: Reason.UNIVERSE_SHRANK,
    RootProblemKind.FAILED: Reason.RESOLVE_FAILED,
    RootProblemKind.UNUSABLE: Reason.UNUSABLE_CONTRACT,
}

_ROOT_TEXTS: Final = {
    RootProblemKind.UNKNOWN: "IB does not know root {root}: correct its symbol in spec.roots",
    RootProblemKind.AMBIGUOUS: "IB lists several products of {root}: name one in spec.roots",
    RootProblemKind.SHRANK: "IB's answer for {root} lacks contracts that have not expired; the last good ones are kept",
    RootProblemKind.FAILED: "IB could not be asked for {root}; the last good contracts are kept and it is asked again",
    RootProblemKind.UNUSABLE: "a contract of {root} is left out, since IB does not tell its month",
    RootProblemKind.WAITING: "{root} waits for a worker that can ask IB",
}


def _universe(status_input: StatusInput) -> CheckResult:
    universe = status_input.universe
    texts = [root_text(problem) for problem in universe.problems]
    for trouble, reason in ROOT_REASONS.items():
        if any(problem.trouble is trouble for problem in universe.problems):
            return CheckResult(Condition.UNIVERSE_RESOLVED, FALSE, reason, "; ".join(texts))
    if texts or not universe.resolved:
        message = "; ".join(texts) or "waiting for a worker that can ask IB"
        return CheckResult(Condition.UNIVERSE_RESOLVED, UNKNOWN, Reason.WAITING_FOR_WORKER, message)
    roots = len(status_input.feed.spec.roots)
    message = f"{plural(len(universe.contracts), 'contract')} of {plural(roots, 'root')}"
    return CheckResult(Condition.UNIVERSE_RESOLVED, TRUE, Reason.RESOLVED, message)


def root_text(problem: RootProblem) -> str:
    """What is wrong with a root and what to do, as a sentence without its full stop."""
    return (problem.message or _ROOT_TEXTS[problem.trouble].format(root=problem.root)).rstrip(".")


# Has every contract exactly one publishing worker?


def _covered(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    contracts = status_input.universe.contracts

    def finding(reason: Reason, message: str) -> CheckResult:
        return CheckResult(Condition.COVERED, FALSE, reason, message)

    if status_input.feed.spec.suspend:
        return finding(Reason.SUSPENDED, "nothing is streamed while spec.suspend is true")
    if not contracts:
        if not status_input.universe.resolved:
            return CheckResult(Condition.COVERED, UNKNOWN, Reason.WAITING_FOR_WORKER, "no contract is known yet")
        return finding(Reason.NOT_PUBLISHING, "there is no contract to stream: IB knows none of the roots")
    twice = [contract for contract in contracts if len(coverage.publishers.get(contract.conid, ())) > 1]
    if twice:
        return finding(Reason.PUBLISHED_TWICE, f"published by two workers: {_symbols(twice)}")
    idle = [contract for contract in contracts if contract.conid not in coverage.owners]
    if idle:
        return finding(Reason.UNASSIGNED, _unassigned_text(status_input, idle))
    waiting = [contract for contract in contracts if not coverage.covers(contract.conid)]
    if waiting:
        reason, why = _why_waiting(status_input, coverage, waiting)
        return finding(reason, f"{len(waiting)} of {plural(len(contracts), 'contract')} not publishing: {why}")
    return CheckResult(
        Condition.COVERED,
        TRUE,
        Reason.ALL_PUBLISHING,
        f"each of {plural(len(contracts), 'contract')} is published by exactly one worker"
        + (f"; {len(coverage.between)} of them being handed over" if coverage.between else ""),
    )


# The gravest first: it gives the condition its reason.
_STATE_REASONS: Final = (
    (ContractState.REFUSED, Reason.SUBSCRIPTION_REFUSED),
    (ContractState.SILENT, Reason.CONTRACT_SILENT),
)
_REFUSED_ADVICE: Final = (
    "; another account is tried if one has a line to spare; check the account's market data subscriptions, and that no"
    " other platform of its user takes the lines"
)


def _why_waiting(status_input: StatusInput, coverage: Coverage, waiting: Sequence[Contract]) -> tuple[Reason, str]:
    """What the workers say of contracts that are not published, each cause once with those that it keeps back."""
    said = why_not(status_input.workers)
    causes: dict[tuple[str, str], list[Contract]] = {}
    for contract in waiting:
        at = shard_name(status_input.feed.name, coverage.owners[contract.conid])
        why = said[contract.conid].message if contract.conid in said else ""
        causes.setdefault((at, why), []).append(contract)
    texts = [f"{_symbols(those)} at {at}" + (f": {why}" if why else "") for (at, why), those in causes.items()]
    states = {said[contract.conid].state for contract in waiting if contract.conid in said}
    reason = next((reason for state, reason in _STATE_REASONS if state in states), Reason.NOT_PUBLISHING)
    advice = _REFUSED_ADVICE if reason is Reason.SUBSCRIPTION_REFUSED else ""
    return reason, listed(texts, most=4) + advice


def _symbols(contracts: Sequence[Contract]) -> str:
    return listed(contract.symbol for contract in contracts)


NO_LINE_TEXTS: Final = {
    UnassignedReason.NO_ACCOUNT: "no line is left, and for another worker no account: see condition AccountsAvailable",
    UnassignedReason.WORKER_MISSING: "no line is left at the workers that stream: see condition Ready for the others",
    UnassignedReason.DRAINED: "no line is left but at a drained worker",
    UnassignedReason.KAFKA: "no line is left but at workers that cannot publish: see condition KafkaReachable",
}


def _unassigned_text(status_input: StatusInput, idle: Sequence[Contract]) -> str:
    reasons = {item.reason for item in status_input.unassigned}
    text = (
        f"{len(idle)} of {plural(len(status_input.universe.contracts), 'contract')} without a worker: {_symbols(idle)}"
    )
    if UnassignedReason.CAPACITY in reasons:
        return f"{text}; {capacity_advice(status_input)}"
    for reason, why in NO_LINE_TEXTS.items():
        if reason in reasons:
            return f"{text}; {why}"
    if not streaming_count(status_input):
        return f"{text}; no worker is streaming"
    return text


def capacity_advice(status_input: StatusInput) -> str:
    accounts = status_input.feed.spec.accounts
    return (
        f"each worker's account has {plural(accounts.lines_per_account, 'market data line')}:"
        " add workers and accounts, or stream fewer months"
    )


def _depth_missing(status_input: StatusInput) -> list[str]:
    return [item.symbol for item in status_input.unassigned if item.reason is UnassignedReason.DEPTH_CAPACITY]


# Is anything on the move?


def _rebalancing(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    if status_input.on_hold:
        message = (
            "most workers lost their sessions, or hear nothing of IB, together: "
            "contracts stay where they are until IB lets them back in"
        )
        return CheckResult(Condition.REBALANCING, FALSE, Reason.STABLE, message)
    moving = set(coverage.moving)
    moving |= {item.conid for item in status_input.unassigned if item.reason is UnassignedReason.MOVING}
    if moving:
        message = f"{plural(len(moving), 'contract')} on the move"
        return CheckResult(Condition.REBALANCING, TRUE, Reason.MOVING, message)
    settling = [
        f"{shard_name(status_input.feed.name, worker.index)} was {worker.health.settling}"
        for worker in wanted(status_input)
        if worker.health.settling
    ]
    if settling:
        return CheckResult(Condition.REBALANCING, FALSE, Reason.SETTLING, "; ".join(settling))
    return CheckResult(Condition.REBALANCING, FALSE, Reason.STABLE, "no contract is on the move")


# Are workers drained and contracts where people have asked for it?

_PIN_TEXTS: Final = {
    PinProblem.DRAINED: "which is drained",
    PinProblem.NOT_STREAMING: "which does not stream",
    PinProblem.SETTLING: "which was lost again and again of late",
    PinProblem.CANNOT_PUBLISH: "which has not shown that it can publish",
    PinProblem.NO_ROOM: "whose lines do not suffice for it",
    PinProblem.REFUSED: "whose account IB refuses it",
}


def _placement(status_input: StatusInput, coverage: Coverage) -> CheckResult:
    asked = status_input.placement

    def finding(truth: Truth, reason: Reason, message: str) -> CheckResult:
        return CheckResult(Condition.PLACEMENT_HONORED, truth, reason, message)

    if not (asked.pins or asked.drained or asked.invalid):
        return finding(TRUE, Reason.NOTHING_ASKED, "no worker is drained and no contract pinned by annotation")
    if status_input.feed.spec.suspend:
        return finding(UNKNOWN, Reason.SUSPENDED, "nothing is moved while spec.suspend is true")
    stranded, unmet = _stranded_texts(status_input, coverage), _unmet_texts(status_input)
    if stranded or unmet or asked.invalid:
        reason = Reason.DRAIN_INCOMPLETE if stranded else Reason.PIN_UNMET if unmet else Reason.INVALID_ANNOTATION
        return finding(FALSE, reason, "; ".join([*stranded, *unmet, *asked.invalid]))
    drained = [worker.shard for worker in status_input.workers if worker.shard and worker.index in asked.drained]
    waiting = {entry.conid for shard in drained for entry in shard.spec.contracts}
    waiting |= {conid for conid, worker in asked.pins.items() if coverage.owners.get(conid) != worker}
    if waiting:
        where = "where it is asked for" if len(waiting) == 1 else "where they are asked for"
        return finding(FALSE, Reason.MOVING, f"{plural(len(waiting), 'contract')} on the way to {where}")
    texts = [f"drained: {listed(_names(status_input, asked.drained))}"] if asked.drained else []
    texts += [f"pinned: {listed(_pinned(status_input))}"] if asked.pins else []
    return finding(TRUE, Reason.HONORED, "; ".join(texts))


def _stranded_texts(status_input: StatusInput, coverage: Coverage) -> list[str]:
    stranded = [contract for contract in status_input.universe.contracts if contract.conid in status_input.stranded]
    if not stranded:
        return []
    at = {coverage.owners[contract.conid] for contract in stranded if contract.conid in coverage.owners}
    what = f"{plural(len(stranded), 'contract')}: {_symbols(stranded)}"
    return [f"{listed(_names(status_input, at))} should be drained, but nobody else has a line for {what}; add workers"]


def _unmet_texts(status_input: StatusInput) -> list[str]:
    at: dict[tuple[int, PinProblem], list[Contract]] = {}
    for contract in status_input.universe.contracts:
        if (trouble := status_input.unmet.get(contract.conid)) is not None:
            at.setdefault((status_input.placement.pins[contract.conid], trouble), []).append(contract)
    return [
        f"{_symbols(contracts)} pinned to {shard_name(status_input.feed.name, worker)}, {_PIN_TEXTS[trouble]}"
        for (worker, trouble), contracts in sorted(at.items())
    ]


def _names(status_input: StatusInput, workers: Iterable[int]) -> list[str]:
    return [shard_name(status_input.feed.name, worker) for worker in sorted(workers)]


def _pinned(status_input: StatusInput) -> list[str]:
    pins = status_input.placement.pins
    contracts = (contract for contract in status_input.universe.contracts if contract.conid in pins)
    return [f"{item.symbol} to {shard_name(status_input.feed.name, pins[item.conid])}" for item in contracts]


# Has every worker an account that works?


def _accounts(status_input: StatusInput) -> CheckResult:
    feed = status_input.feed
    workers = wanted(status_input)

    def finding(reason: Reason, texts: Sequence[str]) -> CheckResult:
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
        return finding(Reason.TOO_FEW_ACCOUNTS, [_too_few_text(status_input, without), *parked_texts])
    failing = [(name, trouble) for name, trouble in troubles(status_input) if trouble.reason in ACCOUNT_REASONS]
    common = _page_trouble(status_input)
    if failing and common is not None:
        text = page_problem_text(common, accounts, feed.namespace)
        others = [one for one in failing if one[1].reason is not Reason.LOGIN_PAGE_TROUBLE]
        return finding(Reason.LOGIN_PAGE_TROUBLE, [text, *grouped(others), *parked_texts])
    if failing:
        return finding(failing[0][1].reason, [*grouped(failing), *parked_texts])
    if parked_texts:
        return finding(Reason.ACCOUNT_PARKED, parked_texts)
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
    """The trouble of a login page that fails for several accounts alike, if it concerns this feed's logins."""
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
        f"account {lease.index} is in use by {lease.holder.rsplit('_', 1)[0]}"
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


# What do the workers say of Kafka and of the data?


def _kafka(status_input: StatusInput) -> CheckResult:
    said = [(worker, _kafka_status(worker)) for worker in _reporting(status_input)]
    down = [(worker, kafka) for worker, kafka in said if kafka.reachable is False]
    if down:
        causes = [(shard_name(status_input.feed.name, worker.index), _cause(worker, kafka)) for worker, kafka in down]
        reason = REASONS.get(down[0][1].reason, Reason.KAFKA_UNREACHABLE)
        return CheckResult(Condition.KAFKA_REACHABLE, FALSE, reason, "; ".join(by_text(causes)))
    waiting = [shard_name(status_input.feed.name, worker.index) for worker, kafka in said if _is_untried(worker, kafka)]
    proven = [kafka for _, kafka in said if kafka.reachable]
    if waiting or not proven:
        message = f"not tried yet by {listed(waiting)}" if waiting else "no worker has tried yet"
        return CheckResult(Condition.KAFKA_REACHABLE, UNKNOWN, Reason.WAITING_FOR_WORKER, message)
    servers = status_input.feed.spec.kafka.bootstrap_servers
    remarks = sorted({kafka.message for kafka in proven if kafka.reason})
    message = "; ".join([f"records are acknowledged by {servers}", *remarks]) + _reference_text(status_input)
    return CheckResult(Condition.KAFKA_REACHABLE, TRUE, Reason.KAFKA_OK, message)


def _kafka_status(worker: Worker) -> KafkaStatus:
    status = worker.shard.status if worker.shard is not None else None
    return (status.kafka if status is not None else None) or KafkaStatus()


def _is_untried(worker: Worker, kafka: KafkaStatus) -> bool:
    """Whether it could have contracts, and has not shown that it can publish; before that nobody needs to know."""
    return worker.health.streaming and kafka.reachable is None


def _cause(worker: Worker, kafka: KafkaStatus) -> str:
    """Why a worker cannot publish, and what that does to what it has."""
    text = f"cannot publish: {kafka.message or 'it does not say why'}"
    return f"{text}; others can, and go on with what it had" if worker.health.kafka is KafkaAccess.CUT_OFF else text


def _reference_text(status_input: StatusInput) -> str:
    """Why records of contracts are missing, which stops no ticks; empty if they are written."""
    said = [
        (shard_name(status_input.feed.name, worker.index), worker.shard.status.reference)
        for worker in _reporting(status_input)
        if worker.shard is not None and worker.shard.status is not None and worker.shard.status.reference
    ]
    return f"; but {listed(name for name, _ in said)} says: {said[0][1]}" if said else ""


def _market_data(status_input: StatusInput) -> CheckResult:
    streaming = [worker for worker in _reporting(status_input) if worker.health.streaming]
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


def _reporting(status_input: StatusInput) -> list[Worker]:
    """Workers whose report is of this life: the process that wrote it still runs."""
    return [
        worker
        for worker in status_input.workers
        if worker.pod is not None and worker.pod.container_running and worker.shard is not None
    ]


def _live(worker: Worker) -> bool | None:
    status = worker.shard.status if worker.shard is not None else None
    return status.market_data_live if status is not None else None


def _account(worker: Worker) -> str:
    account = worker.shard.spec.account if worker.shard is not None else None
    return str(account.index) if account is not None else "-"


# Is it meant to stand still?


def _suspended(status_input: StatusInput) -> CheckResult:
    if not status_input.feed.spec.suspend:
        return CheckResult(Condition.SUSPENDED, FALSE, Reason.NOT_SUSPENDED, "spec.suspend is false")
    pods = sum(worker.pod is not None for worker in status_input.workers)
    if pods:
        message = f"{plural(pods, 'worker')} still logging out"
        return CheckResult(Condition.SUSPENDED, FALSE, Reason.PROGRESSING, message)
    message = "every worker is logged out; set spec.suspend to false to go on"
    return CheckResult(Condition.SUSPENDED, TRUE, Reason.SUSPENDED, message)


# Is everything there that the spec asks for?


def _ready(status_input: StatusInput, coverage: Coverage, parts: dict[Condition, CheckResult]) -> CheckResult:
    """``Ready`` is True when all that the spec asks for is there. Its message is a column of ``kubectl get``."""
    questions: tuple[Callable[[], tuple[Reason, str] | None], ...] = (
        lambda: (Reason.RECONCILE_FAILED, status_input.trouble) if status_input.trouble else None,
        lambda: (Reason.SUSPENDED, "suspended") if status_input.feed.spec.suspend else None,
        lambda: _no_worker(status_input),
        lambda: _blame(parts[Condition.KAFKA_REACHABLE]),
        lambda: _blame(parts[Condition.UNIVERSE_RESOLVED]),
        lambda: _with_its_cause(status_input, _short_of_coverage(status_input, coverage, parts[Condition.COVERED])),
        lambda: _unknown_root(parts[Condition.UNIVERSE_RESOLVED]),
        lambda: _missing_workers(status_input),
        lambda: _updating(status_input),
        lambda: _on_the_move(status_input, parts[Condition.REBALANCING]),
        lambda: _blame(parts[Condition.MARKET_DATA_LIVE]),
        lambda: _missing_books(status_input),
    )
    for question in questions:
        if (answer := question()) is not None:
            reason, message = answer
            return CheckResult(Condition.READY, FALSE, reason, message)
    renewing = _renewing(status_input)
    message = f"streaming; logging in anew, as every night: {listed(renewing)}" if renewing else "streaming"
    return CheckResult(Condition.READY, TRUE, Reason.STREAMING, message)


def _renewing(status_input: StatusInput) -> list[str]:
    """Whose scheduled login is under way. As long as every contract is published meanwhile, that is no trouble."""
    return [
        shard_name(status_input.feed.name, worker.index) for worker in wanted(status_input) if worker.health.renewing
    ]


def _updating(status_input: StatusInput) -> tuple[Reason, str] | None:
    """A rolling update is over when all workers run one template; between two pods all of them stream.

    It begins at the highest number, so that one's template is the new one.
    """
    pods = [worker.pod for worker in wanted(status_input) if worker.pod is not None and worker.pod.revision]
    updated = sum(pod.revision == pods[-1].revision for pod in pods)
    if updated == len(pods):
        return None
    return Reason.UPDATING, f"rolling update: {updated} of {plural(len(pods), 'worker')} on the new template"


def _on_the_move(status_input: StatusInput, rebalancing: CheckResult) -> tuple[Reason, str] | None:
    if rebalancing.truth != TRUE or _renewing(status_input):
        return None
    return rebalancing.reason, rebalancing.message


def _blame(part: CheckResult) -> tuple[Reason, str] | None:
    return (part.reason, part.message) if part.bad else None


def _no_worker(status_input: StatusInput) -> tuple[Reason, str] | None:
    if streaming_count(status_input):
        return None
    found = troubles(status_input)
    severe = [(name, trouble) for name, trouble in found if trouble.severe]
    count = f"0/{status_input.feed.spec.workers} workers streaming"
    if severe:
        return severe[0][1].reason, f"{count}; {'; '.join(grouped(severe))}"
    steps = "; ".join(grouped(found))
    return Reason.PROGRESSING, f"{count}; {steps}" if steps else count


def _missing_workers(status_input: StatusInput) -> tuple[Reason, str] | None:
    renewing = _renewing(status_input)
    found = [(name, trouble) for name, trouble in troubles(status_input) if name not in renewing]
    if not found:
        return None
    severe = [(name, trouble) for name, trouble in found if trouble.severe]
    shown = severe or found
    reason = severe[0][1].reason if severe else Reason.PROGRESSING
    count = f"{streaming_count(status_input)}/{status_input.feed.spec.workers} workers streaming"
    return reason, f"{count}; {'; '.join(grouped(shown))}"


def _short_of_coverage(
    status_input: StatusInput, coverage: Coverage, covered: CheckResult
) -> tuple[Reason, str] | None:
    if covered.truth == TRUE:
        return None
    if covered.truth == UNKNOWN:
        return Reason.PROGRESSING, "asking IB for the contracts"
    contracts = status_input.universe.contracts
    if covered.reason is Reason.NOT_PUBLISHING and contracts:
        waiting = [contract.conid for contract in contracts if not coverage.covers(contract.conid)]
        if not why_not(status_input.workers).keys() & set(waiting):  # a step on the way: no list of symbols in a column
            return covered.reason, f"{len(waiting)} of {plural(len(contracts), 'contract')} not yet publishing"
    return covered.reason, covered.message


def _unknown_root(universe: CheckResult) -> tuple[Reason, str] | None:
    """A root that IB has not been asked for yet may have contracts: until then not all that is asked for is there."""
    return (Reason.PROGRESSING, universe.message) if universe.truth == UNKNOWN else None


def _with_its_cause(status_input: StatusInput, shortage: tuple[Reason, str] | None) -> tuple[Reason, str] | None:
    """Contracts without a worker, with what keeps that worker away if a person has to see to it."""
    missing = _missing_workers(status_input)
    if shortage is None or missing is None or missing[0] is Reason.PROGRESSING:
        return shortage
    return shortage[0], f"{shortage[1]}; {missing[1]}"


def _missing_books(status_input: StatusInput) -> tuple[Reason, str] | None:
    missing = _depth_missing(status_input)
    said = why_not(status_input.workers)
    refused = [
        f"{contract.symbol}: {said[contract.conid].message}"
        for contract in status_input.universe.contracts
        if contract.conid in said and said[contract.conid].state is ContractState.PUBLISHING
    ]
    if refused and not missing:
        return Reason.SUBSCRIPTION_REFUSED, listed(refused, most=4)
    if not missing:
        return None
    return Reason.CAPACITY, (
        f"no order book of {listed(missing)}: IB gives one to each account; add workers, or lower depth.frontMonths"
    )
