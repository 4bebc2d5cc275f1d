"""An event loop whose time passes only while nothing is left to do: a week of it takes minutes.

All that runs in the loop, and every library below it, asks the same clock: the loop's ``time()``, the functions of
module ``time`` and ``datetime.now`` of the product's modules are replaced for as long as ``running`` lasts. Sockets are
real; what travels through the loopback interface has arrived once the sender's call has returned, so a poll that finds
nothing means that nothing is on its way. What happens outside of the loop (threads, Kafka) takes real time, during
which the clock stands still.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import inspect
import math
import selectors
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, Final, TypeVar, TypeVarTuple
from unittest import mock

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")

_EPOCH_S: Final = 1000  # what the monotonic clock says at the start: nobody may take zero for "never"
_REAL_WAIT_S: Final = 0.002  # between two looks at what goes on outside
_STANDS_AT_MOST_S: Final = 120.0  # of real time: what has not answered by then never will
# The product's modules, and the one that judges how old a signed call is.
_ASKING: Final = ("ibfeed_api", "ibfeed_operator", "ibfeed_worker", "ibfeed_simulator", "jwt")


class Clock:
    """Virtual time. It is counted in whole microseconds: a step may not be lost to rounding, or time would stand."""

    def __init__(self, start: dt.datetime) -> None:
        self._start_us: Final = int(start.timestamp() * 1_000_000)
        self._elapsed_us = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._elapsed_us / 1e6

    def advance(self, seconds: float) -> None:
        """Go on by that, a microsecond at least."""
        self._elapsed_us += max(1, math.ceil(seconds * 1e6))

    def time(self) -> float:
        return (self._start_us + self._elapsed_us) / 1e6

    def time_ns(self) -> int:
        return (self._start_us + self._elapsed_us) * 1000

    def monotonic(self) -> float:
        return _EPOCH_S + self._elapsed_us / 1e6

    def monotonic_ns(self) -> int:
        return (_EPOCH_S * 1_000_000 + self._elapsed_us) * 1000

    def clock_gettime(self, clock: int) -> float:
        return self.time() if clock == time.CLOCK_REALTIME else self.monotonic()

    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.time(), dt.UTC)


class Outside:
    """What is under way outside of the loop, and how far the clock may go meanwhile. May be told by any thread.

    ``look`` is called in the loop's thread while the clock waits.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._blocking = 0
        self._trailing: deque[float] = deque()  # when each was sent; what is answered first counts as the oldest
        self.look: Callable[[], None] = lambda: None
        self.patience_s = 0.0  # virtual seconds that may pass before what trails behind has to be there

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """The clock stands still for as long as this lasts."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        with self._lock:
            self._blocking += 1

    def end(self) -> None:
        with self._lock:
            self._blocking -= 1

    def sent(self) -> None:
        """Something was sent whose answer comes in real time: the clock may go on by ``patience_s`` meanwhile."""
        with self._lock:
            self._trailing.append(self._clock.elapsed)

    def answered(self) -> None:
        with self._lock:
            self._trailing.popleft()

    def describe(self) -> str:
        """What it waits for."""
        with self._lock:
            waits = f"{self._blocking} calls in threads, {len(self._trailing)} answers that have not come"
        return f"{waits}\n{_stacks()}"

    def leeway(self) -> float:
        """By how many seconds the clock may go on now."""
        with self._lock:
            if self._blocking:
                return 0.0
            if not self._trailing:
                return float("inf")
            return max(0.0, self._trailing[0] + self.patience_s - self._clock.elapsed)


def _stacks() -> str:
    """Where each other thread is."""
    frames = sys._current_frames()
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    return "\n".join(
        f"{thread.name}:\n{''.join(traceback.format_stack(frames[thread.ident]))}"
        for thread in others
        if thread.ident in frames
    )


class StandstillError(RuntimeError):
    """The clock waits for something outside that does not come."""


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: Clock, outside: Outside) -> None:
        super().__init__()
        self._clock = clock
        self._outside = outside
        self._went_on = time.perf_counter()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        leeway = self._outside.leeway()
        if timeout is None or not leeway:
            ready = super().select(_REAL_WAIT_S)
            self._outside.look()
            if time.perf_counter() - self._went_on > _STANDS_AT_MOST_S:
                raise StandstillError(f"the clock stands at {self._clock.now()}: {self._outside.describe()}")
            return ready
        self._went_on = time.perf_counter()
        self._clock.advance(min(timeout, leeway))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock, outside: Outside) -> None:
        self._clock = clock
        self._outside = outside
        super().__init__(_Selector(clock, outside))

    def time(self) -> float:
        return self._clock.monotonic()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        self._outside.begin()
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _: self._outside.end())
        return future


class _Kind(type):
    """Values of the real type count as instances."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, dt.datetime)


def _datetime_of(clock: Clock) -> type:
    class VirtualDatetime(dt.datetime, metaclass=_Kind):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:  # a real datetime, which is not of this class
            return dt.datetime.fromtimestamp(clock.time(), tz)

    return VirtualDatetime


@contextlib.contextmanager
def _patched(clock: Clock) -> Iterator[None]:
    """``datetime`` is replaced in just those modules that ask it for the time of day."""
    virtual = _datetime_of(clock)
    with contextlib.ExitStack() as stack:
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "clock_gettime"):
            stack.enter_context(mock.patch.object(time, name, getattr(clock, name)))
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] not in _ASKING or getattr(module, "datetime", None) is not dt.datetime:
                continue
            if "datetime.now(" in inspect.getsource(module):
                stack.enter_context(mock.patch.object(module, "datetime", virtual))
        yield


def run(main: Callable[[Clock, Outside], Coroutine[Any, Any, Result]], start: dt.datetime) -> Result:
    """Run to the end in virtual time that begins at ``start``. The product's modules must have been imported.

    Raises StandstillError.
    """
    clock = Clock(start)
    outside = Outside(clock)
    with _patched(clock), asyncio.Runner(loop_factory=lambda: VirtualLoop(clock, outside)) as runner:
        return runner.run(main(clock, outside))
