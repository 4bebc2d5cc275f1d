"""The pauses of a connector."""

from __future__ import annotations

import pytest

from ibfeed.connectors.connector import Patience


@pytest.mark.parametrize(("failed", "pause"), [(1, 1.0), (2, 2.0), (3, 4.0), (7, 60.0), (10**6, 60.0)])
def test_pauses_double_up_to_the_longest(failed: int, pause: float) -> None:
    assert Patience().pause_s(failed) == pause
