"""Delete pods that cannot come to stream and are of an old template; they are made again from the present one."""

from __future__ import annotations

import time
from typing import Final

from ibfeed_api.events import EventReason
from ibfeed_operator.controller.context import Context
from ibfeed_operator.kube.client import collection
from ibfeed_operator.kube.errors import NotFoundError
from ibfeed_operator.model.decode import read_pod, resource_version_of
from ibfeed_operator.model.types import Pod
from ibfeed_operator.planning.replacement import is_outdated, patience_s, read_rollout

_LOOK_S: Final = 5.0  # between two questions for the StatefulSet while a pod is broken


async def replace_pods(context: Context) -> None:
    """Ask for the StatefulSet only while a pod is broken. Raises ClusterError."""
    broken, now = _broken(context), time.monotonic()
    if not broken or now - context.memory.rollout_at < _LOOK_S:
        return
    context.memory.rollout_at = now
    feed, kube = context.feed, context.dependencies.kube
    rollout = read_rollout(await kube.get(f"{collection('apps/v1', 'statefulsets', feed.namespace)}/{feed.name}"))
    for pod in broken:
        if not is_outdated(pod, rollout):
            continue
        path = f"{collection('v1', 'pods', feed.namespace)}/{pod.name}"
        try:
            raw = await kube.get(path)
        except NotFoundError:
            continue
        # Judged once more by what it is now, and deleted only if it is still that: it may have come to stream.
        latest = read_pod(raw)
        health = context.verdicts[pod.worker].health
        if latest is None or not is_outdated(latest, rollout) or patience_s(latest, health) is None:
            continue
        await kube.delete(path, uid=latest.uid, resource_version=resource_version_of(raw))
        text = f"{pod.name} was of an older template and could not start: it is made again from the present one"
        await context.memory.recorder.post(feed, "Normal", EventReason.POD_REPLACED, pod.name, text)


def _broken(context: Context) -> list[Pod]:
    """Pods that have been seen broken for long enough."""
    now, memory = time.monotonic(), context.memory
    seen: dict[str, float] = {}
    broken = []
    for worker, pod in sorted(context.pods.items()):
        patience = patience_s(pod, context.verdicts[worker].health)
        if patience is None:
            continue
        seen[pod.uid] = memory.broken.get(pod.uid, now)
        if now - seen[pod.uid] >= patience:
            broken.append(pod)
    memory.broken = seen
    return broken
