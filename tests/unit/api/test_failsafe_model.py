from __future__ import annotations

import pytest

from support.failsafe_model import CASES, FENCE, Rules, explore


@pytest.mark.parametrize(("count", "own"), CASES)
def test_nobody_takes_the_lease_of_a_holder_that_goes_on(count: int, own: int | None) -> None:
    """``own``: the taker is a member itself; None: it is a process that the holder never heard of."""
    states, wrong = explore(count, own)
    print(f"{count} members, taker {'among them' if own is not None else 'unknown'}: {states} states")
    assert not wrong
    assert states > 100


@pytest.mark.parametrize(
    ("count", "fault"),
    [
        *((count, Rules(fewer=1)) for count in (1, 2, 3)),
        *((count, Rules(silence=FENCE - 2)) for count in (1, 2, 3)),
        (3, Rules(spread=FENCE)),
        *((count, Rules(ended=0)) for count in (1, 2, 3)),
    ],
)
def test_the_exploration_finds_a_fault(count: int, fault: Rules) -> None:
    """One word too few, words too soon after an away or too far apart, and a member that counts as soon as it died."""
    _, wrong = explore(count, rules=fault)
    assert wrong
