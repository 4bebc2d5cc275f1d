"""The frames: each is an update that a worker publishes, and what is expected in the end is what was sent."""

from __future__ import annotations

import time

from datapath.frames import PACE_MS, Market
from datapath.laps import CONTRACTS, Outcome
from datapath.pace import added_ms
from datapath.wire import framed
from ibfeed_api.records import Tick
from ibfeed_worker.stream.frame import read
from ibfeed_worker.ticks import Normaliser


def test_every_frame_is_a_tick_and_the_last_ones_are_what_is_expected() -> None:
    begin = int(time.time() * 1000) - 3_600_000
    market = Market(5, begin)
    normalisers = {conid: Normaliser(conid, "CLZ6") for conid in market.conids}
    latest: dict[int, tuple[int, str]] = {}
    for number, message in enumerate(market.updates(1000)):
        frame = read(message)
        found = normalisers[int(frame.conid or 0)].normalise(frame, time.time_ns(), number)
        assert isinstance(found, Tick), (message, found)
        assert found.event_time == begin + number // 5 * PACE_MS
        latest[found.conid] = (found.event_time, bytes(found.price).decode())
    assert latest == market.last


def test_a_frame_on_the_wire_says_how_long_it_is() -> None:
    assert framed(b"x" * 125)[:2] == bytes((0x82, 125))
    assert framed(b"x" * 300)[:4] == bytes((0x82, 126, 1, 44))


def test_latency_is_from_sending_to_consumption_without_the_warm_up() -> None:
    sent = tuple(range(0, 200 * 1_000_000, 1_000_000))
    outcome = Outcome(200, 1.0, 0.1, 200, 90.0, {}, sent_ns=sent, begin_ms=5000)
    first = min(Market(1, 0).conids)
    arrived = {(first + n % CONTRACTS, 5000 + n // CONTRACTS * PACE_MS): at + 3_000_000 for n, at in enumerate(sent)}
    assert added_ms(outcome, arrived) == [3.0] * 170
