"""The lock of the state folder: one run at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ibfeed_local.problem import ProblemError
from ibfeed_local.state import State


@contextmanager
def hold(state: State) -> Iterator[None]:
    """Hold the lock of the state folder. Without it two runs would build over each other."""
    with (state.root / "lock").open("a+") as lock:
        deadline, told = time.monotonic() + 3600, False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ProblemError(
                        f"another run has held {lock.name} for an hour", "Is it still at work?"
                    ) from None
                if not told:
                    lock.seek(0)
                    print(f"waiting for another run on {state.root} to end ({lock.read().strip()})", flush=True)
                    told = True
                time.sleep(0.5)
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        yield
