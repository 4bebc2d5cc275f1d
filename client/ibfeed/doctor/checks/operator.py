"""The operator: deployed, available, and one of its processes leads."""

from __future__ import annotations

from collections.abc import Iterator

from ibfeed.doctor.checks import pods
from ibfeed.doctor.facts import InstallationFacts, Unknown, known
from ibfeed.doctor.findings import FoundFault, error, warning
from ibfeed.doctor.seen import SeenDeployment

MISSING = error("operator-missing", "there is no Deployment of the operator")
DOWN = error("operator-down", "no pod of the operator is available")
PARTLY = warning("operator-partly", "some of the operator's pods are not available")
LEADERLESS = error("operator-no-leader", "no operator holds and renews the Lease, so none acts")
FAULTS = (MISSING, DOWN, PARTLY, LEADERLESS)


def check(facts: InstallationFacts) -> Iterator[FoundFault]:
    """Check the operator's Deployment, pods and Lease."""
    where = facts.operator_namespace
    on = f"kubectl -n {where}"
    if facts.deployment is None:
        yield MISSING.found(
            "operator",
            f"no Deployment of it is in namespace {where}",
            "the operator was not installed, or is in another namespace (--operator-namespace)",
            "kubectl apply -k manifests/operator",
        )
    elif not isinstance(facts.deployment, Unknown):
        yield from _available(facts.deployment, facts, on)
    if isinstance(facts.leader, Unknown):
        return
    leader = facts.leader
    if leader is None or not leader.lease.holder or not leader.renewed:
        seen = (
            "there is no Lease"
            if leader is None
            else f"{leader.lease.holder} has not renewed it for five seconds"
            if leader.lease.holder
            else "it has no holder"
        )
        yield LEADERLESS.found(
            f"Lease {where}/ibfeed-operator",
            seen,
            "no operator runs, or it does not reach the API server; workers go on streaming, and nothing is moved",
            f"{on} logs deploy/ibfeed-operator --tail=50",
        )


def _available(deployment: SeenDeployment, facts: InstallationFacts, on: str) -> Iterator[FoundFault]:
    name, wanted = deployment.metadata.name, deployment.spec.replicas
    available = deployment.status.available_replicas
    if wanted == 0:
        yield DOWN.found(
            f"Deployment {name}", "it is scaled to 0", "somebody stopped it", f"{on} scale deploy/{name} --replicas=1"
        )
    elif available < wanted:
        causes = [cause for pod in known(facts.operator_pods, ()) if (cause := pods.obstacle(pod))]
        causes += [
            f"{one.reason}: {one.message}" for one in deployment.status.conditions if one.type == "ReplicaFailure"
        ]
        fault = PARTLY if available else DOWN
        yield fault.found(
            f"Deployment {name}",
            f"{available} of {wanted} pods are available",
            "; ".join(causes) or "its pods are not ready",
            f"{on} describe pods -l app.kubernetes.io/component=operator",
        )
