"""Nothing may be written once the Lease can be somebody else's, not even by a process that was stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S
from ibfeed_worker.account.fence import KILL_AFTER_S, Fence
from support.simulator import environment


class Switch:
    def __init__(self, diary: list[str]) -> None:
        self.diary = diary
        self.at: float | None = None

    def arm(self, at: float) -> None:
        self.at = at

    def disarm(self) -> None:
        self.at = None
        self.diary.append("disarmed")


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
def switch(diary: list[str]) -> Switch:
    return Switch(diary)


@pytest.fixture
def fence(switch: Switch, diary: list[str]) -> Fence:
    return Fence(switch, lambda: diary.append("shut"))


def test_the_process_is_ended_after_it_should_have_stopped_and_before_anyone_takes_over() -> None:
    assert SELF_FENCE_S + 0.5 <= KILL_AFTER_S <= TAKEOVER_S - 0.5


def test_shut_until_the_account_is_taken(fence: Fence) -> None:
    assert not fence.is_open()


def test_open_for_as_long_as_the_lease_counts_from_the_moment_of_asking(fence: Fence, switch: Switch) -> None:
    now = fence.now()
    fence.extend(now - SELF_FENCE_S + 5)
    assert fence.is_open()
    assert switch.at == pytest.approx(now + KILL_AFTER_S - SELF_FENCE_S + 5)
    fence.extend(now - SELF_FENCE_S)
    assert not fence.is_open()


def test_a_lost_lease_is_told_before_the_switch_is_disarmed(fence: Fence, switch: Switch, diary: list[str]) -> None:
    fence.extend(fence.now())
    fence.shut()
    assert (fence.is_open(), switch.at, diary) == (False, None, ["shut", "disarmed"])


def test_a_lease_that_is_given_back_is_no_loss(fence: Fence, switch: Switch, diary: list[str]) -> None:
    fence.extend(fence.now())
    fence.stand_down()
    assert (fence.is_open(), switch.at, diary) == (False, None, ["disarmed"])


PROGRAM = """
import sys, time
from ibfeed_worker.account.fence import Fence, KernelSwitch
switch = KernelSwitch()
switch.arm(Fence.now() + 1)
if sys.argv[1] == "disarmed":
    switch.disarm()
print("armed", flush=True)
time.sleep(1.5)
"""


@pytest.mark.parametrize(("how", "ends"), [("armed", -signal.SIGKILL), ("stopped", -signal.SIGKILL), ("disarmed", 0)])
def test_the_kernel_ends_the_process_in_time_even_if_it_is_stopped(how: str, ends: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, how], stdout=subprocess.PIPE, env=environment())
    assert process.stdout is not None
    assert process.stdout.readline() == b"armed\n"
    begun = time.monotonic()
    if how == "stopped":
        process.send_signal(signal.SIGSTOP)
    assert process.wait(10) == ends
    if ends:
        assert time.monotonic() - begun < 4
    process.stdout.close()
