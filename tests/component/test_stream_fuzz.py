"""A million spoilt frames through the worker's reader: nothing raises, nothing grows, nothing false comes out."""

from __future__ import annotations

import time

from support.figures import Figures
from support.fuzz import fire
from support.memory import resident_mb

FRAMES = 1_000_000


async def test_a_million_spoilt_frames(figures: Figures) -> None:
    await fire(20_000, seed=0)  # what is allocated once
    before, _ = resident_mb()
    begun = time.process_time()
    ticks = books = 0
    seconds = 0.0
    for seed in range(1, 11):
        oracle, took = await fire(FRAMES // 10, seed)
        ticks, books, seconds = ticks + oracle.ticks, books + oracle.books, seconds + took
    grown = resident_mb()[0] - before
    figures.record(
        "spoilt frames: the reader", seconds / FRAMES * 1e6, bar=60, unit="us", note="processor time of each"
    )
    figures.record("spoilt frames: a million, and the oracle", time.process_time() - begun, bar=90)
    figures.record("spoilt frames: growth", grown, bar=200, unit="MB", note="what the oracle remembers included")
    assert ticks > FRAMES / 5
    assert books > FRAMES / 50
