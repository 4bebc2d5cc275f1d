"""Why a pod's container does not run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ibfeed.doctor.facts import FeedFacts, known
from ibfeed.doctor.findings import Fault, FoundFault, error, warning
from ibfeed.doctor.seen import SeenEvent, SeenPod

_ON_ITS_WAY: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
_OF_IMAGE: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_LONGEST: Final = 300

IMAGE = error("image-not-pullable", "a worker's image cannot be pulled")
UNSCHEDULABLE = error("pod-unschedulable", "no node takes a worker's pod")
CRASHING = error("pod-crashing", "a worker's container ends again and again")
CONFIGURATION = error("pod-configuration", "a pod refers to a Secret, ConfigMap or volume that is not there")
QUOTA = error("quota-exceeded", "a ResourceQuota refuses a worker's pod")
REFUSED = error("pod-refused", "the API server refuses a worker's pod: a policy, a webhook, a LimitRange")
TIGHT = warning("quota-full", "a ResourceQuota is used up: the next pod will be refused")
FAULTS = (IMAGE, UNSCHEDULABLE, CRASHING, CONFIGURATION, QUOTA, REFUSED, TIGHT)


def obstacle(pod: SeenPod) -> str:
    """Return what keeps a pod's container from running; empty if nothing does, or nothing is told."""
    unscheduled = next((c for c in pod.status.conditions if c.type == "PodScheduled" and c.status == "False"), None)
    if unscheduled is not None:
        return f"{unscheduled.reason}: {unscheduled.message}"
    for container in pod.status.container_statuses:
        waiting = container.state.waiting
        if waiting is not None and waiting.reason not in _ON_ITS_WAY:
            return _line(f"{waiting.reason}: {waiting.message}")
        if (ended := container.state.terminated) is not None:
            return f"its container ended: {ended.reason or 'Error'}, exit code {ended.exit_code}"
    return ""


def check(facts: FeedFacts) -> Iterator[FoundFault]:
    """Check the pods of a feed's workers, and those that are not created."""
    pods = known(facts.pods, ())
    for pod in pods:
        if pod.metadata.deletion_timestamp is None:
            yield from _of_pod(pod, facts)
    yield from _refused({pod.name for pod in pods}, facts)
    for quota in known(facts.quotas, ()):
        full = [
            name
            for name, hard in quota.status.hard.items()
            if name in ("pods", "count/pods") and quota.status.used.get(name) == hard
        ]
        if full:
            yield TIGHT.found(
                f"ResourceQuota {quota.metadata.name}",
                f"all {quota.status.hard[full[0]]} {full[0]} are used",
                "a worker that is replaced needs a pod for a moment more",
                f"{facts.on} edit resourcequota {quota.metadata.name}",
            )


def _of_pod(pod: SeenPod, facts: FeedFacts) -> Iterator[FoundFault]:
    about, cause = f"pod {pod.name}", obstacle(pod)
    reason = cause.partition(":")[0]
    describe = f"{facts.on} describe pod {pod.name}"
    if any(one.type == "PodScheduled" and one.status == "False" for one in pod.status.conditions):
        yield UNSCHEDULABLE.found(about, "no node takes it", cause, f"{describe}; kubectl describe nodes")
    elif reason in _OF_IMAGE:
        yield IMAGE.found(
            about,
            "its image cannot be pulled",
            cause,
            f"{facts.on} patch ibf/{facts.name} --type merge -p"
            ' \'{"spec":{"worker":{"image":"IMAGE","imagePullSecrets":[{"name":"SECRET"}]}}}\'',
        )
    elif reason == "CreateContainerConfigError":
        yield CONFIGURATION.found(about, "its container cannot be made", cause, describe)
    elif cause:
        yield CRASHING.found(
            about, "its container does not run", _died_of(pod, cause), f"{facts.on} logs {pod.name} --previous"
        )
    elif pod.status.phase == "Pending" and (volume := _volume_trouble(pod, known(facts.events, ()))):
        yield CONFIGURATION.found(about, "a volume of it cannot be mounted", volume, describe)


def _died_of(pod: SeenPod, cause: str) -> str:
    ends = (one.last_state.terminated for one in pod.status.container_statuses)
    last = next((end for end in ends if end is not None), None)
    return f"{cause}; it died of {last.reason or 'Error'} with exit code {last.exit_code}" if last else cause


def _volume_trouble(pod: SeenPod, events: tuple[SeenEvent, ...]) -> str:
    mine = [one for one in events if one.involved_object.name == pod.name and one.reason.startswith("FailedMount")]
    return _line(max(mine, key=lambda one: one.at).message) if mine else ""


def _refused(there: set[str], facts: FeedFacts) -> Iterator[FoundFault]:
    """Yield why the StatefulSet's pods are not created, as its newest event says."""
    wanted = {f"{facts.name}-{number}" for number in range(0 if facts.feed.spec.suspend else facts.feed.spec.workers)}
    refusals = [
        event
        for event in known(facts.events, ())
        if event.involved_object.kind == "StatefulSet"
        and event.involved_object.name == facts.name
        and event.reason == "FailedCreate"
    ]
    lacking = sorted(wanted - there)
    if not lacking or not refusals:
        return
    message = _line(max(refusals, key=lambda event: event.at).message)
    quota = "exceeded quota" in message or "failed quota" in message
    fault: Fault = QUOTA if quota else REFUSED
    mend = f"{facts.on} get resourcequota; {facts.on} edit resourcequota NAME" if quota else f"{facts.on} get events"
    yield fault.found(f"pod {lacking[0]}", "the API server refuses it", message, mend)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST]
