from __future__ import annotations

from dataclasses import replace

import pytest

from always_on.truth import GRACE_S, Sample, untrue, untrue_contract_seconds

WELL = Sample(at=1000.0, publishing={1: True, 2: True}, ready="True", covered="True", kafka="True", live="True")


@pytest.mark.parametrize(
    ("sample", "flowing", "found"),
    [
        (WELL, {1, 2}, set()),
        (WELL, {1}, {2}),
        (replace(WELL, publishing={1: True, 2: False}, ready="False", covered="False"), {1}, set()),
        (replace(WELL, publishing={1: True, 2: False}, ready="False"), {1}, {2}),  # Covered is True
        (replace(WELL, publishing={1: True, 2: False}, ready="False", covered="False"), {1, 2}, {1, 2}),
        (replace(WELL, ready="Unknown"), {1, 2}, {1, 2}),
        (replace(WELL, publishing={1: False, 2: False}, ready="False", covered="False"), (), {1, 2}),  # Kafka is True
        (
            Sample(1000.0, {1: False, 2: False}, ready="False", covered="False", kafka="False", live="Unknown"),
            (),
            set(),
        ),
    ],
)
def test_what_a_status_says_beside_what_flows(sample: Sample, flowing: set[int], found: set[int]) -> None:
    assert untrue(sample, flowing, [1, 2]) == found


def test_seconds_after_a_change_are_not_counted() -> None:
    samples = [replace(WELL, at=1000.0 + second) for second in range(60)]
    arrivals = {1: [int((999.5 + second) * 1000) for second in range(62)], 2: [1_000_000]}
    assert untrue_contract_seconds(samples, arrivals, [1, 2], []) == 60 - 6  # the record of 1000.0 counts for 5 s
    assert untrue_contract_seconds(samples, arrivals, [1, 2], [1000.0]) == 60 - int(GRACE_S)
