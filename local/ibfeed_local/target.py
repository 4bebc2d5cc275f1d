"""The cluster to work on: the local one, or that of the current kubectl context."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ibfeed_local import cluster, images, layout
from ibfeed_local.command import output
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State


@dataclass(frozen=True)
class Target:
    """A running cluster with a Kafka beside it, and the product's images as its nodes can get them."""

    kubectl: tuple[str | Path, ...]
    kubectl_to_type: str
    images: dict[str, str]  # operator, worker, simulator, platform -> full name with tag
    kafka: str  # as pods reach it
    kafka_from_here: str

    def run(self, *arguments: str, given: str = "") -> str:
        """Run kubectl; return its output."""
        return output([*self.kubectl, *arguments], given=given, within=200)


def local(state: State, tags: dict[str, str]) -> Target:
    """Return the local cluster. Raises ProblemError if it is not up."""
    if not cluster.is_up(state):
        raise ProblemError("the local cluster is not up", "Start it with: make up")
    return Target(
        (state.kubectl, f"--kubeconfig={state.kubeconfig}"), "kubectl", tags, f"kafka:{layout.KAFKA_PORT}", layout.KAFKA
    )


def current() -> Target:
    """Return the cluster of the current kubectl context, with images and Kafka from the environment."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ProblemError(
            "there is no kubectl on PATH", "CLUSTER=current uses your own kubectl and its current context."
        )
    prefix, tag, kafka = (os.environ.get(name, "") for name in ("IMAGES", "TAG", "KAFKA"))
    missing = [name for name, value in (("IMAGES", prefix), ("TAG", tag), ("KAFKA", kafka)) if not value]
    if missing:
        raise ProblemError(
            f"CLUSTER=current needs {' and '.join(missing)}",
            "IMAGES is the registry and prefix that operator, worker, simulator and platform were pushed to, TAG\n"
            "  their tag, and KAFKA the host:port of a Kafka that the pods reach:\n"
            "  CLUSTER=current IMAGES=registry.example.org/ibfeed TAG=0.1.0 KAFKA=kafka.example.org:9092 make demo",
        )
    host, colon, port = kafka.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise ProblemError(f"KAFKA must be host:port, and it is {kafka!r}")
    output([kubectl, "version", "--request-timeout=10s"], remedy="Is the current kubectl context the right one?")
    names = {image.name: f"{prefix.rstrip('/')}/{image.name}:{tag}" for image in images.PRODUCT}
    return Target((kubectl,), "kubectl", names, kafka, kafka)
