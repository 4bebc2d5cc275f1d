"""Pins as a person writes them, and as the commands change them."""

from __future__ import annotations

import pytest

from ibfeed.cluster.wishes import pins_of, with_pin, without_pin, worker_number
from ibfeed.errors import ObjectError


def test_pin_is_added_or_moved_and_all_else_stays() -> None:
    assert with_pin("", "CLZ6", 1) == "CLZ6=1"
    assert with_pin("NGF7=0, CLZ6=1", "CLZ6", 2) == "NGF7=0,CLZ6=2"
    assert with_pin("nonsense CLZ6=1", "CLF7", 0) == "nonsense,CLZ6=1,CLF7=0"


def test_last_pin_takes_the_annotation_along() -> None:
    assert without_pin("CLZ6=1\nNGF7=0", "CLZ6") == "NGF7=0"
    assert without_pin("CLZ6=1", "CLZ6") is None
    assert pins_of("CLZ6=1,NGF7=0") == {"CLZ6": "1", "NGF7": "0"}


def test_worker_is_a_feed_and_a_number() -> None:
    assert worker_number("crude-oil-12") == ("crude-oil", 12)
    for wrong in ("energy", "energy-", "-1", "energy-x"):
        with pytest.raises(ObjectError, match="such as energy-1"):
            worker_number(wrong)
