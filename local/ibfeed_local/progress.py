"""One line for each step, and a sign of life while a long one runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FIRST_SIGN, NEXT_SIGN = 4.0, 20.0  # seconds


@dataclass
class Step:
    """A step under way. `result` may be set to say more on its last line."""

    title: str
    started: float
    shown: float
    result: str = ""


@dataclass
class Progress:
    """Prints the steps of this run. Steps may overlap, in several threads."""

    began: float = field(default_factory=time.monotonic)
    _running: list[Step] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _beating: bool = False

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run a step. A line at its end says how long it took; until then there is a sign of life now and then."""
        now = time.monotonic()
        step = Step(title, started=now, shown=now - NEXT_SIGN + FIRST_SIGN)
        with self._lock:
            self._running.append(step)
            if not self._beating:
                self._beating = True
                threading.Thread(target=self._beat, daemon=True).start()
        try:
            yield step
        except BaseException:
            self._end(step, "FAILED ")
            raise
        self._end(step, "")

    def report(self, text: str) -> None:
        """Print a line of its own."""
        print(f"[{_duration(time.monotonic() - self.began):>6}] {text}", flush=True)

    def _end(self, step: Step, failed: str) -> None:
        with self._lock:
            self._running.remove(step)
        result = f": {step.result}" if step.result else ""
        self.report(f"{failed}{step.title}{result} ({_duration(time.monotonic() - step.started)})")

    def _beat(self) -> None:
        while True:
            time.sleep(1)
            now = time.monotonic()
            with self._lock:
                due = [step for step in self._running if now - step.shown >= NEXT_SIGN]
                for step in due:
                    step.shown = now
            for step in due:
                result = f": {step.result}" if step.result else ""
                self.report(f"  ... {step.title}{result} ({_duration(now - step.started)} so far)")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    return f"{int(seconds // 60)}m{int(seconds % 60):02d}s"


def headline(text: str) -> None:
    """Print a line that stands out a little from the steps."""
    print(f"\n== {text}", flush=True, file=sys.stdout)
