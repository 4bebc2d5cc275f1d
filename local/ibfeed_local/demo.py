"""The examples on a running product, until ticks are on Kafka and the latest ones in Redis."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ibfeed_local import command, images, progress
from ibfeed_local.problem import ProblemError
from ibfeed_local.state import SOURCE, State
from ibfeed_local.target import Target

EXAMPLES = {name: SOURCE / "examples" / f"{name}.yaml" for name in ("energy", "equity")}
DOWNSTREAM = SOURCE / "examples" / "downstream.yaml"
SINK = "latest"  # of that example
PATIENCE = 300  # seconds until both feeds are ready; they take a minute, three browsers on two cores included
SECONDS_OF_TICKS = 10


def show(state: State, target: Target, said: progress.Progress) -> None:
    """Apply the examples, wait until they stream, and show their ticks."""
    with said.step(f"applying {', '.join(f'examples/{path.name}' for path in (*EXAMPLES.values(), DOWNSTREAM))}"):
        for path in EXAMPLES.values():
            _apply(target, path)
        target.run("apply", "--namespace", "default", "-f", str(DOWNSTREAM))
    with said.step("feeds") as step:
        _wait(target, step)
    with said.step("sink") as step:
        _wait_for_sink(target, step)
    for what in ("ibf,ibs", "ibk"):
        progress.headline(f"{target.kubectl_to_type} get {what} -o wide")
        print(target.run("get", what, "--namespace", "default", "-o", "wide"), end="")
    progress.headline(f"ticks on Kafka ({target.kafka_from_here}, topic ticklast), {SECONDS_OF_TICKS} s of them")
    if ticks(state, target.kafka_from_here, SECONDS_OF_TICKS):
        raise ProblemError(f"no tick came from Kafka at {target.kafka_from_here}", "Is it reachable from this machine?")
    progress.headline("it streams. Try next:")
    if os.environ.get("CLUSTER") != "current":
        print('  eval "$(make -s kubeconfig)"')
    print(
        "  kubectl get ibf,ibs,ibk -o wide\n"
        "  kubectl edit ibf/energy                    # add a root, say `- symbol: RB`\n"
        "  kubectl scale ibf/energy --replicas=4\n"
        "  kubectl delete pod energy-1                # the others take over, then share again\n"
        "  make ticks                                 # what is on Kafka, until you press Ctrl-C\n"
        "  make down                                  # stop everything, leave nothing behind",
        flush=True,
    )


def ticks(state: State, kafka: str, seconds: float) -> int:
    """Print ticks as they come, for so many seconds (0: until interrupted). Return the consumer's exit code."""
    arguments: list[str | Path] = [state.python, "-m", "ibfeed_local.ticks", kafka, str(seconds)]
    return command.attached(arguments, environment={"PYTHONPATH": str(SOURCE / "local")})


def _apply(target: Target, path: Path) -> None:
    """Apply an example with the address of this Kafka, and otherwise unchanged."""
    change = {"spec": {"kafka": {"bootstrapServers": target.kafka}}}
    changed = target.run("patch", "--local", "-f", str(path), "--type=merge", "-p", json.dumps(change), "-o", "json")
    target.run("apply", "--namespace", "default", "-f", "-", given=changed)


def _wait(target: Target, step: progress.Step) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        feeds = {
            name: json.loads(target.run("get", "ibf", name, "--namespace", "default", "-o", "json"))
            for name in EXAMPLES
        }
        step.result = "; ".join(f"{name} {_summary(feed)}" for name, feed in feeds.items())
        if all(_streams(target, feed) for feed in feeds.values()):
            return
        if time.monotonic() > deadline:
            pods = target.run("get", "pods", "--namespace", "default", "-o", "wide")
            raise ProblemError(
                f"the feeds are not ready after {PATIENCE} s: {step.result}\n{pods}",
                f"Look at: {target.kubectl_to_type} describe ibf; {target.kubectl_to_type} logs energy-0",
            )
        time.sleep(0.5)


def _wait_for_sink(target: Target, step: progress.Step) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        ready = _ready(json.loads(target.run("get", "ibk", SINK, "--namespace", "default", "-o", "json")))
        step.result = f"{SINK} ({ready.get('message', 'waiting for the operator')})"
        if ready.get("status") == "True":
            return
        if time.monotonic() > deadline:
            raise ProblemError(
                f"the sink is not ready after {PATIENCE} s: {step.result}",
                f"Look at: {target.kubectl_to_type} describe ibk {SINK}",
            )
        time.sleep(0.5)


def _streams(target: Target, feed: dict[str, Any]) -> bool:
    """Whether a feed is ready with workers of this image. Workers of an earlier image are still being replaced."""
    if _ready(feed).get("status") != "True":
        return False
    name = feed["metadata"]["name"]
    workers = json.loads(target.run("get", "statefulset", name, "--namespace", "default", "-o", "json"))
    status = workers["status"]
    current: bool = workers["spec"]["template"]["spec"]["containers"][0]["image"] == target.images[images.WORKER.name]
    seen: bool = status.get("observedGeneration") == workers["metadata"]["generation"]
    wanted: int = workers["spec"]["replicas"]
    return current and seen and all(status.get(count) == wanted for count in ("updatedReplicas", "readyReplicas"))


def _ready(feed: dict[str, Any]) -> dict[str, Any]:
    """Return the feed's Ready condition. It is empty if it is about an earlier spec."""
    for condition in feed.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready" and condition.get("observedGeneration") == feed["metadata"]["generation"]:
            return dict(condition)
    return {}


def _summary(feed: dict[str, Any]) -> str:
    status = feed.get("status", {})
    message = _ready(feed).get("message", "waiting for the operator")
    return f"{status.get('assignedCount', 0)}/{status.get('contractCount', 0)} contracts ({message})"
