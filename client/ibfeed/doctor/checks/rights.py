"""RBAC: what the person, the operator and the workers may do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import FeedFacts, InstallationFacts, Right, known
from ibfeed.doctor.findings import FoundFault, error, warning

_SHOWN: Final = 6

MINE = warning("right-missing-own", "you may not read objects of the feed, so some checks cannot be done")
OPERATOR = error("right-missing-operator", "the operator lacks a right of its ClusterRole")
WORKER = error("right-missing-worker", "the workers' ServiceAccount lacks a right")
FAULTS = (MINE, OPERATOR, WORKER)


def check(facts: InstallationFacts) -> Iterator[FoundFault]:
    """Check the rights of the person and of the operator."""
    lacking = _lacking(known(facts.my_rights, ()))
    if lacking:
        namespace = lacking[0].namespace
        yield MINE.found(
            "you",
            f"you may not {_listed(lacking)}",
            "no role that you have grants it",
            f"kubectl -n {namespace} create rolebinding ibfeed-view-USER --clusterrole=view --user=USER",
        )
    if lacking := _lacking(known(facts.operator_rights, ())):
        yield OPERATOR.found(
            f"ServiceAccount {facts.operator_account}",
            f"it may not {_listed(lacking)}",
            "its ClusterRole, Role or their bindings are missing, changed, or of another release",
            "kubectl apply -k manifests/operator",
        )


def check_workers(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check the rights of a feed's workers."""
    if lacking := _lacking(known(facts.worker_rights, ())):
        name = f"{facts.name}-worker"
        yield WORKER.found(
            f"ServiceAccount {name}",
            f"it may not {_listed(lacking)}",
            f"Role or RoleBinding {name} is missing or was changed; the operator makes them again within a minute,"
            " and at once when it starts",
            "kubectl -n ibfeed-system rollout restart deploy/ibfeed-operator",
        )


def _lacking(rights: tuple[Right, ...]) -> list[Right]:
    return [right for right in rights if not right.allowed]


def _listed(rights: list[Right]) -> str:
    texts = [right.text for right in rights]
    shown = ", ".join(texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown} and {len(texts) - _SHOWN} more"
