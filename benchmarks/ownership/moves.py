"""Planned moves: what a person or a rollout does to a feed that streams."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ibfeed_local.progress import Progress
from ownership import setting
from ownership.evidence import Watch
from ownership.stage import Stage
from ownership.verdict import Window, moves
from support.cluster import eventually, kubectl, read

_DRAIN = "ibfeed.dev/drain"
_PIN = "ibfeed.dev/pin"


@dataclass(frozen=True)
class Kind:
    name: str
    carry_out: Callable[[Stage], None]


@dataclass(frozen=True)
class Carried:
    """One kind carried out once: so many contracts moved, between two times of the venue's clock."""

    kind: str
    moved: int
    window: Window


def scale_down_and_up(stage: Stage) -> None:
    for workers in (setting.WORKERS - 1, setting.WORKERS):
        _on_feed("scale", f"ibf/{setting.FEED}", f"--replicas={workers}")
        stage.settle(workers)


def drain(stage: Stage, worker: int) -> None:
    """All contracts leave the worker, and it gets its share again."""
    name = f"{setting.FEED}-{worker}"
    _on_feed("annotate", f"ibs/{name}", f"{_DRAIN}=true")
    stage.settle(without=name)
    _on_feed("annotate", f"ibs/{name}", f"{_DRAIN}-")
    stage.settle()


def rolling_update(stage: Stage) -> None:
    """A change of `spec` that a worker needs at its start: each pod in turn gives its contracts away, ends, returns."""
    linger = itertools.cycle((6, 5))
    now = stage.feed()["spec"]["kafka"].get("lingerMs", 5)
    patch = {"spec": {"kafka": {"lingerMs": next(value for value in linger if value != now)}}}
    before = _revision()
    _on_feed("patch", f"ibf/{setting.FEED}", "--type=merge", "-p", json.dumps(patch))
    eventually(lambda: _revision() != before and _updated(), within=600, what="every pod is of the new revision")
    stage.settle()


def pin(stage: Stage) -> None:
    """A root's months to one worker, which gives others in return; then evenly again, wherever."""
    symbols = [c["symbol"] for c in stage.feed()["status"]["contracts"] if c["root"] == setting.ROOTS[0]]
    _on_feed("annotate", f"ibf/{setting.FEED}", f"{_PIN}={','.join(f'{symbol}=0' for symbol in symbols)}")
    home = f"{setting.FEED}-0"
    eventually(
        lambda: {c.get("worker") for c in stage.feed()["status"]["contracts"] if c["symbol"] in symbols} == {home},
        within=120,
        what=f"{setting.ROOTS[0]} is on {home}",
    )
    stage.settle()
    _on_feed("annotate", f"ibf/{setting.FEED}", f"{_PIN}-")
    stage.settle()


KINDS = (
    Kind("scale down and up", scale_down_and_up),
    Kind("drain worker 1", lambda stage: drain(stage, 1)),
    Kind("rolling update", rolling_update),
    Kind("pin a root's months", pin),
    Kind("drain worker 2", lambda stage: drain(stage, 2)),
)


def until(count: int, stage: Stage, watch: Watch, progress: Progress) -> Iterator[Carried]:
    """Carry out each kind at least once, and so on until so many contracts have moved."""
    done = 0
    for turn in itertools.count():
        for kind in KINDS:
            if turn and done >= count:
                return
            begin_ms = stage.venue.now_ms()
            with progress.step(kind.name) as step:
                kind.carry_out(stage)
                total = moves(watch.written())
                step.result = f"{total - done} contracts moved, {total} in all"
            yield Carried(kind.name, total - done, Window(begin_ms, stage.venue.now_ms()))
            done = total


def _on_feed(*words: str) -> None:
    kubectl(*words, "-n", setting.NAMESPACE)


def _revision() -> str:
    found: str = read("statefulset", setting.FEED, setting.NAMESPACE)["status"].get("updateRevision", "")
    return found


def _updated() -> bool:
    workers = read("statefulset", setting.FEED, setting.NAMESPACE)
    status = workers["status"]
    return (
        status.get("observedGeneration") == workers["metadata"]["generation"]
        and status.get("currentRevision") == status.get("updateRevision")
        and all(status.get(count) == setting.WORKERS for count in ("updatedReplicas", "readyReplicas"))
    )
