from __future__ import annotations

import pytest

from ibfeed_platform.ticks import decode_exact
from support.reader_records import tick


@pytest.mark.parametrize(
    ("flags", "market_data_type", "state", "price_state"),
    [
        (["price"], "RpB", "live", "live"),
        (["price"], "DpB", "unverified", "unverified"),
        (["delayed", "not_subscribed"], "DpB", "delayed+not_subscribed", "delayed+not_subscribed"),
        (["previous_close"], "RpB", "live", "live+previous_close"),
        (["halted", "frozen"], "ZpB", "frozen", "frozen+halted"),
    ],
)
def test_states_say_how_far_values_can_be_trusted(
    flags: list[str], market_data_type: str, state: str, price_state: str
) -> None:
    value = (tick(1, flags=flags).value() or b"").replace(b'"RpB"', f'"{market_data_type}"'.encode())
    found = decode_exact(value)
    assert (found.state, found.price_state) == (state, price_state)


def test_numbers_keep_the_digits_that_ib_wrote() -> None:
    found = decode_exact(tick(1, price="-71.900").value() or b"")
    assert found.text("price") == "-71.900"
    assert found.text("open_interest") is None
