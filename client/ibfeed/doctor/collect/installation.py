"""Facts about the API server, the CRDs and the operator."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any, Final

from ibfeed.cluster import Cluster
from ibfeed.doctor.collect import leases, rights
from ibfeed.doctor.collect.together import together
from ibfeed.doctor.facts import ApiServer, Definition, InstallationFacts, WatchedLease, known
from ibfeed.doctor.release import KINDS, field_paths
from ibfeed.doctor.seen import SeenDeployment, SeenLease, SeenPod, see, see_all
from ibfeed.errors import MissingObjectError

LABELS: Final = "app.kubernetes.io/name=ibfeed,app.kubernetes.io/component=operator"
NAMESPACE: Final = "ibfeed-system"
_LEASE: Final = "ibfeed-operator"


def collect_installation(cluster: Cluster, operator_namespace: str = NAMESPACE) -> InstallationFacts:
    """Ask for all that does not depend on a feed, side by side."""
    found = together(
        {
            "server": partial(_server, cluster),
            "definitions": partial(_definitions, cluster),
            "my_rights": partial(rights.my_rights, cluster),
            "operator_rights": partial(_operator_rights, cluster, operator_namespace),
            "deployment": partial(_deployment, cluster, operator_namespace),
            "operator_pods": partial(_pods, cluster, operator_namespace),
            "leader": partial(_leader, cluster, operator_namespace),
        }
    )
    deployment = known(found["deployment"], None)
    account = f"{operator_namespace}:{_account_of(deployment)}"
    return InstallationFacts(
        now=dt.datetime.now(dt.UTC), operator_account=account, operator_namespace=operator_namespace, **found
    )


def _server(cluster: Cluster) -> ApiServer:
    version = cluster.call("GET", "/version")
    asked = dt.datetime.now(dt.UTC)
    told = cluster.time() + dt.timedelta(seconds=0.5)  # it cuts its time to whole seconds
    middle = asked + (dt.datetime.now(dt.UTC) - asked) / 2
    return ApiServer(str(version.get("gitVersion", "")), (told - middle).total_seconds())


def _definitions(cluster: Cluster) -> dict[str, Definition | None]:
    return {plural: _definition(cluster, plural) for plural in KINDS}


def _definition(cluster: Cluster, plural: str) -> Definition | None:
    try:
        found = cluster.get(
            "customresourcedefinitions", f"{plural}.ibfeed.dev", api="apiextensions.k8s.io/v1", namespace=""
        )
    except MissingObjectError:
        return None
    served: list[dict[str, Any]] = [version for version in found["spec"]["versions"] if version.get("served")]
    ours = next((version for version in served if version["name"] == "v1alpha1"), {})
    schema = ours.get("schema", {}).get("openAPIV3Schema", {})
    return Definition(tuple(version["name"] for version in served), field_paths(schema))


def _deployment(cluster: Cluster, namespace: str) -> SeenDeployment | None:
    found = cluster.items("deployments", api="apps/v1", labels=LABELS, namespace=namespace)
    return see(found[0], SeenDeployment) if found else None


def _account_of(deployment: SeenDeployment | None) -> str:
    template: dict[str, Any] = deployment.spec.template if deployment is not None else {}
    return str(template.get("spec", {}).get("serviceAccountName") or _LEASE)


def _operator_rights(cluster: Cluster, namespace: str) -> Any:
    return rights.operator_rights(cluster, f"{namespace}:{_account_of(_deployment(cluster, namespace))}")


def _pods(cluster: Cluster, namespace: str) -> tuple[SeenPod, ...]:
    return see_all(cluster.items("pods", api="v1", labels=LABELS, namespace=namespace), SeenPod)


def _leader(cluster: Cluster, namespace: str) -> WatchedLease | None:
    def look() -> tuple[SeenLease, ...]:
        try:
            return (see(cluster.get("leases", _LEASE, api="coordination.k8s.io/v1", namespace=namespace), SeenLease),)
        except MissingObjectError:
            return ()

    return next(iter(leases.watched(cluster, look)), None)
