"""Collectors side by side: limits of time, errors as unknown facts."""

from __future__ import annotations

import threading
import time

import pytest

from ibfeed.doctor.collect.together import each, together
from ibfeed.doctor.facts import Unknown
from ibfeed.errors import ClusterRefusedError


def refused() -> None:
    raise ClusterRefusedError("the API server refuses: no")


def test_collector_that_hangs_holds_nobody_up() -> None:
    hold = threading.Event()
    started = time.monotonic()
    found = together({"quick": lambda: 7, "hangs": lambda: hold.wait(30)}, 0.2)
    hold.set()
    assert time.monotonic() - started < 5
    assert found == {"quick": 7, "hangs": Unknown("no answer within 0.2 s")}


def test_errors_are_unknown_facts() -> None:
    found = together({"refused": refused, "broken": lambda: 1 / 0})
    assert found["refused"] == Unknown("the API server refuses: no")
    assert found["broken"] == Unknown("the check itself failed, please report it: ZeroDivisionError: division by zero")


def test_each_keeps_the_order_and_raises() -> None:
    assert each(range(40), lambda number: number * 2) == list(range(0, 80, 2))
    with pytest.raises(ClusterRefusedError):
        each(range(3), lambda _: refused())
