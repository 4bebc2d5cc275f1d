"""The product on a cluster: definitions, simulator, operator."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ibfeed_local import images
from ibfeed_local.command import output, succeeds
from ibfeed_local.problem import ProblemError
from ibfeed_local.progress import Progress
from ibfeed_local.state import SOURCE, State, write
from ibfeed_local.target import Target

SIMULATOR, OPERATOR = "ibfeed-simulator", "ibfeed-system"
APPLY = ("apply", "--server-side", "--force-conflicts", "--field-manager=ibfeed-local")
DEFINITIONS = ("ibfeeds.ibfeed.dev", "ibshards.ibfeed.dev", "ibsinks.ibfeed.dev")
# The simulator's bootstrap makes these once, with keys and passwords, and they are kept.
SECRETS = (
    (SIMULATOR, "secret/venue-tls"),
    (SIMULATOR, "secret/venue-users"),
    ("default", "configmap/ib-venue-ca"),
    ("default", "secret/ib-paper-accounts"),
)


def everything(state: State, target: Target, progress: Progress) -> None:
    """Bring the product on the cluster up to date and wait until it runs."""
    with progress.step("custom resource definitions"):
        target.run(*APPLY, "-f", str(SOURCE / "crds"))
        target.run("wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{name}" for name in DEFINITIONS))
    with progress.step("simulator: certificates and accounts") as step:
        step.result = _bootstrap(state, target)
    with progress.step("simulator and operator") as step:
        target.run(*APPLY, "-k", str(overlay(state, target)))
        step.result = ", ".join(_wait(target, namespace) for namespace in (SIMULATOR, OPERATOR))


def _bootstrap(state: State, target: Target) -> str:
    if not _exists(target, f"namespace/{SIMULATOR}", "default"):
        target.run("create", "namespace", SIMULATOR)
    if all(_exists(target, name, namespace) for namespace, name in SECRETS):
        return "there already"
    made = output(
        [state.python, "-m", "ibfeed_simulator.bootstrap"],
        environment={"PYTHONPATH": str(SOURCE / "simulator")},
        folder=state.root,
    )
    target.run(*APPLY, "-f", "-", given=made)
    return "made"


def _exists(target: Target, name: str, namespace: str) -> bool:
    return succeeds([*target.kubectl, "get", name, "--namespace", namespace])


def overlay(state: State, target: Target) -> Path:
    """Write a kustomization over `manifests/overlays/local` with the images of this cluster; return its folder.

    Kustomize wants relative paths.
    """
    folder = state.root / "deploy" / "local"
    folder.mkdir(parents=True, exist_ok=True)
    given = {"IBFEED_WORKER_IMAGE": images.WORKER, "IBFEED_SINK_IMAGE": images.PLATFORM}
    environment = [{"name": name, "value": target.images[image.name]} for name, image in given.items()]
    patch = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "ibfeed-operator", "namespace": OPERATOR},
        "spec": {"template": {"spec": {"containers": [{"name": "operator", "env": environment}]}}},
    }
    named = []
    for image in (images.OPERATOR, images.SIMULATOR):
        name, _, tag = target.images[image.name].rpartition(":")
        named.append({"name": f"ibfeed/{image.name}", "newName": name, "newTag": tag})
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(SOURCE / "manifests" / "overlays" / "local", folder.resolve())],
        "images": named,
        "patches": [{"patch": json.dumps(patch)}],
    }
    write(folder / "kustomization.yaml", json.dumps(kustomization, indent=1))
    return folder


def _wait(target: Target, namespace: str) -> str:
    """Wait until every Deployment of a namespace runs as described. Raises ProblemError that says why one does not."""
    names = target.run("get", "deployments", "--namespace", namespace, "-o", "name").split()
    for name in names:
        try:
            target.run("rollout", "status", name, "--namespace", namespace, "--timeout=180s")
        except ProblemError as problem:
            pods = target.run("get", "pods", "--namespace", namespace, "-o", "wide")
            events = target.run("get", "events", "--namespace", namespace, "--sort-by=.lastTimestamp")
            latest = "\n".join(events.splitlines()[-8:])
            raise ProblemError(
                f"{name} in {namespace} does not come up: {problem.what}\n{pods}\n{latest}",
                f"Look at: {target.kubectl_to_type} logs --namespace {namespace} {name}",
            ) from None
    return ", ".join(name.rpartition("/")[2] for name in names)
