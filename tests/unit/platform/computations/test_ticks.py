from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from ibfeed_platform.computations.ticks import VolumeMeter, row_of
from ibfeed_platform.ticks import ExactTick, decode_exact
from support.reader_records import tick


def exact(volume: int | None, flags: Sequence[str] = ()) -> ExactTick:
    value = msgspec.json.decode(tick(1, flags=flags).value() or b"", type=dict[str, msgspec.Raw])
    return decode_exact(msgspec.json.encode({**value, "volume": volume}))


@pytest.mark.parametrize(
    ("volumes", "traded"),
    [
        ([100, 103, 103, 110], [None, 3, 0, 7]),
        ([100, None, 104], [None, None, 4]),  # a tick without a volume hides nothing
        ([100, 98, 101], [None, 0, 3]),  # an exchange took two back
        ([5000, 12, 20], [None, 12, 8]),  # a new session
    ],
)
def test_differences_of_the_volume_are_what_was_traded(volumes: list[int | None], traded: list[int | None]) -> None:
    meter = VolumeMeter()
    assert [meter.traded(exact(volume)) for volume in volumes] == traded


def test_volumes_that_are_not_live_are_not_compared() -> None:
    meter = VolumeMeter()
    given = [exact(100), exact(50, ["delayed"]), exact(110), exact(112)]
    assert [meter.traded(one) for one in given] == [None, None, None, 2]


def test_a_row_holds_texts_and_the_root_if_it_is_known() -> None:
    row = row_of(exact(7), None, Decimal(3))
    assert (row.symbol, row.root, row.price, row.volume, row.traded) == ("CLZ6", None, "71.90", "7", "3")
