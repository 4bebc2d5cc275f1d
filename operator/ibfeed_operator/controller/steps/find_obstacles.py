"""Find out what keeps a pod away that is wanted, where only events tell it."""

from __future__ import annotations

from ibfeed_operator.controller.context import Context
from ibfeed_operator.status.worker_problems import is_on_its_way


def find_obstacles(context: Context) -> None:
    wanted = () if context.feed.spec.suspend else range(context.feed.spec.workers)
    context.memory.events.look(
        context.feed,
        missing={worker: context.name_of(worker) for worker in wanted if worker not in context.pods},
        waiting={
            worker: pod
            for worker in wanted
            if (pod := context.pods.get(worker)) is not None and not pod.deleting and is_on_its_way(pod)
        },
    )
