"""The rules of an account's Lease. Pure: observations and our own clock go in, the action comes out.

Times are seconds of our own monotonic clock, never the holder's timestamps: clocks of two nodes differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Protocol

from ibfeed_api.failsafe import Member, format_members, may_take, parse_members
from ibfeed_api.labels import ANNOTATION_FENCED, ANNOTATION_MEMBERS
from ibfeed_api.lease import TAKEOVER_S, micro_time


@dataclass(frozen=True, slots=True)
class Lease:
    """The parts of a Lease that the worker needs."""

    name: str
    resource_version: str
    holder: str = ""
    transitions: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def members(self) -> tuple[Member, ...]:
        """The processes that its holder asks when it can't renew (``failsafe.py``)."""
        return parse_members(self.annotations.get(ANNOTATION_MEMBERS, ""))

    @property
    def fenced(self) -> bool:
        """Whether the operator found out that the holder has fenced itself."""
        return bool(self.holder) and self.annotations.get(ANNOTATION_FENCED) == self.holder


@dataclass(frozen=True, slots=True)
class Observed:
    """Since when a Lease is known to have been at this resourceVersion."""

    resource_version: str
    since: float


class LeaseStore(Protocol):
    """The store of Leases, which is ``Kube``. Both calls raise KubeError."""

    async def read_lease(self, name: str) -> dict[str, Any]: ...

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]: ...


class Action(Enum):
    """An action on a Lease that we do not hold yet."""

    TAKE = "take"
    RENEW = "renew"  # it is ours already: our container restarted
    WAIT = "wait"


def parse(body: Mapping[str, Any]) -> Lease:
    """Return the Lease in an API object."""
    metadata, spec = body["metadata"], body.get("spec") or {}
    return Lease(
        name=metadata["name"],
        resource_version=metadata["resourceVersion"],
        holder=spec.get("holderIdentity") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        annotations=dict(metadata.get("annotations") or {}),
    )


def observe(before: Observed | None, lease: Lease, now: float) -> Observed:
    """Return the observation after seeing ``lease``; it goes on while the resourceVersion is the same."""
    if before is not None and before.resource_version == lease.resource_version:
        return before
    return Observed(lease.resource_version, now)


def decide(lease: Lease, observed: Observed, now: float, me: str) -> Action:
    """Return what the worker with identity ``me``, which does not hold the account yet, may do."""
    if lease.holder == me:
        return Action.RENEW
    if not lease.holder or lease.fenced:
        return Action.TAKE
    # A worker asks no members: that is the operator's, which then says so on the Lease.
    free = may_take([member.name for member in lease.members], (), now - observed.since)
    return Action.TAKE if free else Action.WAIT


def acquire_patch(lease: Lease, me: str, now: datetime, members: Iterable[Member] = ()) -> dict[str, Any]:
    """Return the merge-patch that makes ``me`` the holder if the Lease is still as seen."""
    stamp = micro_time(now)
    spec: dict[str, Any] = {"holderIdentity": me, "leaseDurationSeconds": round(TAKEOVER_S), "renewTime": stamp}
    if lease.holder != me:
        spec |= {"acquireTime": stamp, "leaseTransitions": lease.transitions + 1}
    return _with(naming(members), guarded(lease.resource_version, spec))


def renew_patch(lease: Lease, now: datetime, annotations: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return the merge-patch that keeps the Lease ours; ``annotations`` as for ``annotate``."""
    return _with(annotations, guarded(lease.resource_version, {"renewTime": micro_time(now)}))


def release_patch(lease: Lease, now: datetime, annotations: Mapping[str, str | None] | None = None) -> dict[str, Any]:
    """Return the merge-patch that frees the Lease; ``annotations`` as for ``annotate``."""
    spec = {"holderIdentity": "", "renewTime": micro_time(now)}
    return _with({**(annotations or {}), **naming(())}, guarded(lease.resource_version, spec))


def naming(members: Iterable[Member]) -> dict[str, str | None]:
    """Return the annotations of a holder that names these members."""
    return {ANNOTATION_MEMBERS: format_members(members) or None, ANNOTATION_FENCED: None}


def _with(annotations: Mapping[str, str | None] | None, body: dict[str, Any]) -> dict[str, Any]:
    if annotations:
        body["metadata"]["annotations"] = dict(annotations)
    return body


def annotate(lease: Lease, annotations: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a merge-patch of annotations; None removes one."""
    return {"metadata": {"resourceVersion": lease.resource_version, "annotations": dict(annotations)}}


def guarded(resource_version: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a merge-patch of a Lease's spec as a compare-and-swap.

    The API server answers 409 if the Lease has moved.
    """
    return {"metadata": {"resourceVersion": resource_version}, "spec": dict(spec)}
