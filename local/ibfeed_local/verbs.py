"""What can be asked of the local environment."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ibfeed_local import build, cluster, command, images, preflight
from ibfeed_local.problem import Problem
from ibfeed_local.progress import Progress
from ibfeed_local.state import State


def main(arguments: list[str]) -> int:
    """Carry out one verb; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: python3 -m ibfeed_local {'|'.join(VERBS)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return VERBS[arguments[0]](State.from_environment()) or 0
    except Problem as problem:
        print(f"\nERROR: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run it again to go on where it stopped", file=sys.stderr)
        return 130
    finally:
        command.end_children()


def cluster_up(state: State) -> None:
    """Kubernetes and Kafka only."""
    with _alone(state) as progress:
        build.everything(state, progress)
        cluster.up(state, progress)
        images.load_pause(state)


def down(state: State) -> None:
    """Stop everything; keep caches and images."""
    if not state.root.exists():
        return
    with _alone(state) as progress:
        cluster.down(state, progress)


@contextmanager
def _alone(state: State) -> Iterator[Progress]:
    """Check the machine, and hold the lock of the state folder: two runs would build over each other."""
    preflight.machine()
    state.prepare()
    with (state.root / "lock").open("a+") as lock:
        deadline, told = time.monotonic() + 3600, False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Problem(f"another run has held {lock.name} for an hour", "Is it still at work?") from None
                if not told:
                    lock.seek(0)
                    print(f"waiting for another run on {state.root} to end ({lock.read().strip()})", flush=True)
                    told = True
                time.sleep(0.5)
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield Progress()


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


VERBS: dict[str, Callable[[State], int | None]] = {
    "cluster": cluster_up,
    "down": down,
}
