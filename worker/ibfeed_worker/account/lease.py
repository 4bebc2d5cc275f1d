"""The rules of an account's Lease. Pure: what was seen and our own clock in, what to do out.

Times are seconds of our own monotonic clock, never the holder's timestamps: clocks of two nodes differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from ibfeed_api.lease import TAKEOVER_S


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    resource_version: str
    holder: str = ""
    transitions: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """Since when a Lease has been at this resourceVersion, for all that we know."""

    resource_version: str
    since: float


class Action(Enum):
    TAKE = "take"
    RENEW = "renew"  # it is ours already: our container restarted
    WAIT = "wait"


def parse(body: Mapping[str, Any]) -> Lease:
    """The Lease in an API object."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    return Lease(
        name=metadata["name"],
        resource_version=metadata["resourceVersion"],
        holder=spec.get("holderIdentity") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        annotations=dict(metadata.get("annotations") or {}),
    )


def observe(before: Observed | None, lease: Lease, now: float) -> Observed:
    if before is not None and before.resource_version == lease.resource_version:
        return before
    return Observed(lease.resource_version, now)


def decide(lease: Lease, observed: Observed, now: float, me: str) -> Action:
    """What the worker with identity ``me``, who does not hold the account yet, may do."""
    if lease.holder == me:
        return Action.RENEW
    if not lease.holder or now - observed.since >= TAKEOVER_S:
        return Action.TAKE
    return Action.WAIT


def acquire_patch(lease: Lease, me: str, now: datetime) -> dict[str, Any]:
    """Merge-patch that makes ``me`` the holder if the Lease is still as seen."""
    stamp = micro(now)
    spec: dict[str, Any] = {"holderIdentity": me, "leaseDurationSeconds": round(TAKEOVER_S), "renewTime": stamp}
    if lease.holder != me:
        spec |= {"acquireTime": stamp, "leaseTransitions": lease.transitions + 1}
    return guarded(lease.resource_version, spec)


def renew_patch(lease: Lease, now: datetime, annotations: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Merge-patch that keeps the Lease ours; ``annotations`` as for ``annotate``."""
    return _with(annotations, guarded(lease.resource_version, {"renewTime": micro(now)}))


def release_patch(lease: Lease, now: datetime, annotations: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Merge-patch that frees the Lease; ``annotations`` as for ``annotate``."""
    return _with(annotations, guarded(lease.resource_version, {"holderIdentity": "", "renewTime": micro(now)}))


def _with(annotations: Mapping[str, str | None] | None, body: dict[str, Any]) -> dict[str, Any]:
    if annotations:
        body["metadata"]["annotations"] = dict(annotations)
    return body


def annotate(lease: Lease, annotations: Mapping[str, str | None]) -> dict[str, Any]:
    """Merge-patch of annotations; None removes one."""
    return {"metadata": {"resourceVersion": lease.resource_version, "annotations": dict(annotations)}}


def guarded(resource_version: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Merge-patch of a Lease's spec as a compare-and-swap: the API server answers 409 if the Lease has moved."""
    return {"metadata": {"resourceVersion": resource_version}, "spec": dict(spec)}


def micro(now: datetime) -> str:
    """A Kubernetes MicroTime."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
