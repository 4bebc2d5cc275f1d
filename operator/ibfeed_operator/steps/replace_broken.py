"""Delete pods that cannot come to stream and are of an old template; they are made again from the present one."""

from __future__ import annotations

import time
from typing import Final

from ibfeed_operator.cluster import NotFound, collection
from ibfeed_operator.facts import Pod
from ibfeed_operator.read import read_pod, resource_version_of
from ibfeed_operator.replacement import is_outdated, patience_s, read_rollout
from ibfeed_operator.visit import Visit

_LOOK_S: Final = 5.0  # between two questions for the StatefulSet while a pod is broken


async def replace_broken(visit: Visit) -> None:
    """Ask for the StatefulSet only while a pod is broken. Raises ClusterError."""
    broken, now = _broken(visit), time.monotonic()
    if not broken or now - visit.memory.rollout_at < _LOOK_S:
        return
    visit.memory.rollout_at = now
    feed, cluster = visit.feed, visit.shared.cluster
    rollout = read_rollout(await cluster.get(f"{collection('apps/v1', 'statefulsets', feed.namespace)}/{feed.name}"))
    for pod in broken:
        if not is_outdated(pod, rollout):
            continue
        path = f"{collection('v1', 'pods', feed.namespace)}/{pod.name}"
        try:
            raw = await cluster.get(path)
        except NotFound:
            continue
        # Judged once more by what it is now, and deleted only if it is still that: it may have come to stream.
        latest = read_pod(raw)
        health = visit.verdicts[pod.worker].health
        if latest is None or not is_outdated(latest, rollout) or patience_s(latest, health) is None:
            continue
        await cluster.delete(path, uid=latest.uid, resource_version=resource_version_of(raw))
        text = f"{pod.name} was of an older template and could not start: it is made again from the present one"
        await visit.memory.announcer.post(feed, "Normal", "PodReplaced", pod.name, text)


def _broken(visit: Visit) -> list[Pod]:
    """Pods that have been seen broken for long enough."""
    now, memory = time.monotonic(), visit.memory
    seen: dict[str, float] = {}
    broken = []
    for worker, pod in sorted(visit.pods.items()):
        patience = patience_s(pod, visit.verdicts[worker].health)
        if patience is None:
            continue
        seen[pod.uid] = memory.broken.get(pod.uid, now)
        if now - seen[pod.uid] >= patience:
            broken.append(pod)
    memory.broken = seen
    return broken
