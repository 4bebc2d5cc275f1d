from __future__ import annotations

import pytest

from support.partitions import LEASE_COUNT, story

_RUNS = 24  # `make bench-always-on` runs more


@pytest.mark.parametrize("block", range(4))
def test_no_two_hold_one_lease_and_all_are_held_in_the_end(block: int) -> None:
    for seed in range(block, _RUNS, 4):
        ending = story(seed)
        assert ending.held == {f"lease-{index}": 1 for index in range(LEASE_COUNT)}, f"seed {seed}"
        assert ending.takes >= LEASE_COUNT
