"""Decides which pods are to be replaced because they cannot stream and a newer template exists. Pure.

A pod that never becomes ready can hold up a rolling update for ever: the StatefulSet controller waits for it before it
touches another pod. Some versions also wait before they replace that very pod (kubernetes#67250; `Parallel` on the
first patches of Kubernetes 1.35). So a corrected template would never reach it. Deleting such a pod costs nothing: it
has no session and no contract.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ibfeed_operator.model.types import Health, Pod, WorkerHealth

# How long a pod must have been seen in a state before it counts as broken. Kubernetes itself replaces most pods sooner.
DEAD_S: Final = 5.0  # its container cannot run, and never streamed
DIED_S: Final = 60.0  # its container cannot run, but did stream once: it may be restarted meanwhile
STUCK_S: Final = 30.0  # its container starts or runs, and was never ready: it may be about to log in

_MAY_STREAM: Final = (Health.STREAMING, Health.LEAVING, Health.RETURNING)
_ON_ITS_WAY: Final = ("", "ContainerCreating", "PodInitializing")


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The template of a StatefulSet. ``settled``: ``revision`` is the one of the present template."""

    revision: str
    settled: bool


class _WorkloadMeta(msgspec.Struct, rename="camel"):
    generation: int = 0


class _WorkloadStatus(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    update_revision: str = ""


class _Workload(msgspec.Struct):
    metadata: _WorkloadMeta
    status: _WorkloadStatus = msgspec.field(default_factory=_WorkloadStatus)


def read_rollout(raw: bytes) -> Rollout:
    found = msgspec.json.decode(raw, type=_Workload)
    return Rollout(
        revision=found.status.update_revision,
        settled=found.status.observed_generation >= found.metadata.generation,
    )


def patience_s(pod: Pod, health: WorkerHealth) -> float | None:
    """Return for how many seconds a pod may stay in its state before it counts as broken; None: it is not broken."""
    if pod.deleting or pod.ready or health.state in _MAY_STREAM:
        return None
    if pod.container_running or (pod.waiting_reason in _ON_ITS_WAY and not pod.died_of):
        return STUCK_S if pod.never_ready else None
    return DEAD_S if pod.never_ready else DIED_S


def is_outdated(pod: Pod, rollout: Rollout) -> bool:
    """Whether a new pod in this one's place would come from another template."""
    return bool(rollout.settled and pod.revision and rollout.revision) and pod.revision != rollout.revision
