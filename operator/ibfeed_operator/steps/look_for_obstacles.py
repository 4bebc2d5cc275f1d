"""Find out what keeps a pod away that is wanted, where only events tell it."""

from __future__ import annotations

from ibfeed_operator.troubles import is_on_its_way
from ibfeed_operator.visit import Visit


def look_for_obstacles(visit: Visit) -> None:
    wanted = () if visit.feed.spec.suspend else range(visit.feed.spec.workers)
    visit.memory.events.look(
        visit.feed,
        missing={worker: visit.name_of(worker) for worker in wanted if worker not in visit.pods},
        waiting={
            worker: pod
            for worker in wanted
            if (pod := visit.pods.get(worker)) is not None and not pod.deleting and is_on_its_way(pod)
        },
    )
