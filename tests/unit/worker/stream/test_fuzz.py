from __future__ import annotations

import pytest

from support.fuzz import fire


@pytest.mark.parametrize("seed", [1, 2])
async def test_spoilt_frames_are_survived_and_nothing_false_is_published(seed: int) -> None:
    oracle, _ = await fire(10_000, seed)
    assert oracle.ticks > 1500
    assert oracle.books > 300
