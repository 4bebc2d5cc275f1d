"""The fence: until when this process may write to Kafka, by its account's Lease.

A process that is stopped, or hangs, past the end of its Lease may find its contracts with another worker when it wakes
up. It must not write then, and neither must the threads of Kafka's client, which wake up with it. So the kernel is told
to kill the process in time, and does so although the process is stopped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import Final, Protocol

from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S

# Late enough to stop in order first, and well before a take-over.
KILL_AFTER_S: Final = (SELF_FENCE_S + TAKEOVER_S) / 2
_SIGEV_SIGNAL: Final = 0
_TIMER_ABSTIME: Final = 1
_SIGEVENT: Final = struct.Struct("qii48x")  # value, signal, how to notify: see sigevent(7)
_ITIMERSPEC: Final = struct.Struct("qqqq")  # interval and first expiry, each in seconds and nanoseconds


class Switch(Protocol):
    """A dead man's switch. Times are those of ``Fence.now``."""

    def arm(self, at: float) -> None: ...

    def disarm(self) -> None: ...


class Fence:
    """The fence of one account. It is open while the Lease is ours.

    Args:
        switch: kills the process if the Lease is not renewed.
        on_shut: called once the Lease is lost.
    """

    def __init__(self, switch: Switch, on_shut: Callable[[], None]) -> None:
        self._switch = switch
        self._on_shut = on_shut
        self._until = 0.0

    @staticmethod
    def now() -> float:
        """Return seconds since boot; they count while the machine sleeps, too."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def is_open(self) -> bool:
        """Whether the account is ours at this moment.

        It is asked before each record, so it calls the clock directly.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME) < self._until

    def extend(self, sent: float) -> None:
        """Keep the fence open after a renewal of the Lease; its request was sent at ``sent``."""
        self._until = sent + SELF_FENCE_S
        self._switch.arm(sent + KILL_AFTER_S)

    def shut(self) -> None:
        """Shut the fence, since the Lease is lost: another worker may write in a moment."""
        self._until = 0.0
        self._on_shut()
        self._switch.disarm()  # last, so that the switch still kills the process if a step before it hangs

    def stand_down(self) -> None:
        """Shut the fence for giving the Lease back, when nothing is left to be written."""
        self._until = 0.0
        self._switch.disarm()


class KernelSwitch:
    """A timer of the kernel that sends SIGKILL to this process, which kills even a stopped process at once.

    No child and no executed program inherits it. Raises OSError if there is no such timer here.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SIGEVENT.pack(0, signal.SIGKILL, _SIGEV_SIGNAL)
        self._call("timer_create", time.CLOCK_BOOTTIME, event, ctypes.byref(self._timer))

    def arm(self, at: float) -> None:
        seconds = int(at)
        self._set(seconds, int((at - seconds) * 1e9))

    def disarm(self) -> None:
        self._set(0, 0)

    def _set(self, seconds: int, nanoseconds: int) -> None:
        spec = _ITIMERSPEC.pack(0, 0, seconds, nanoseconds)
        self._call("timer_settime", self._timer, _TIMER_ABSTIME, spec, None)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
