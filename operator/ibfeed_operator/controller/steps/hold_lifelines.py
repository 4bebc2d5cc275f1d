"""Hold a lifeline to each worker that reports, so that its death is known at once."""

from __future__ import annotations

from ibfeed_api.shard import Session
from ibfeed_operator.controller.context import Context
from ibfeed_operator.controller.lifelines import WorkerAddress


def hold_lifelines(context: Context) -> None:
    context.memory.lifelines.hold(
        {
            WorkerAddress(worker, f"{context.feed.namespace}/{pod.name}", shard.status.started_at, pod.ip)
            for worker, shard in context.shards.items()
            if shard.status is not None and shard.status.session is Session.STREAMING
            if (pod := context.pods.get(worker)) is not None and pod.ip and pod.container_running
        }
    )
