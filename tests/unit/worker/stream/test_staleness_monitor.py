"""What the watch makes of a feed that was silent as a whole: what IB says of the session proves nothing, data do."""

from __future__ import annotations

import time

from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.stream import SessionFacts
from ibfeed_worker.stream.staleness import Patience
from ibfeed_worker.stream.staleness_monitor import StalenessMonitor
from unit.worker.stream.bench import FULL, Bench, entry

NOW = time.time()
DAY = Hours((Span(NOW - 7200, NOW + 7200), Span(NOW + 10_800, NOW + 20_000)))
PATIENCE = Patience()


def silent_from(watch: StalenessMonitor, bench: Bench, now: float) -> float:
    """When the connection that begins at ``now``, and brings nothing, is given up."""
    watch.begin_connection(now)
    while not watch.look(bench.streamer._contracts, [7], now).silent:
        now += PATIENCE.look
    return now


def watched(bench: Bench) -> StalenessMonitor:
    bench.streamer.obey((entry(),))
    bench.subscribe()
    return StalenessMonitor(PATIENCE, lambda _: DAY)


async def test_a_feed_that_was_silent_is_mute_until_it_speaks_however_many_connections_that_takes(bench: Bench) -> None:
    watch = watched(bench)
    watch.begin_connection(NOW)
    assert not watch.mute
    ended = silent_from(watch, bench, NOW)
    assert watch.mute
    ended = silent_from(watch, bench, ended)
    assert (watch.mute, watch.silent_in_a_row) == (True, 2)
    watch.begin_connection(ended)
    assert watch.mute
    watch.heard()
    assert (watch.mute, watch.silent_in_a_row) == (False, 0)


async def test_nothing_is_expected_of_a_closed_market_and_something_again_when_it_opens(bench: Bench) -> None:
    watch = watched(bench)
    silent_from(watch, bench, NOW)
    watch.look(bench.streamer._contracts, [7], NOW + 7201)
    assert not watch.mute
    watch.look(bench.streamer._contracts, [7], NOW + 10_801)
    assert watch.mute


async def test_nothing_is_expected_when_others_have_the_contracts_and_the_next_try_is_given_more_time(
    bench: Bench,
) -> None:
    watch = watched(bench)
    first = silent_from(watch, bench, NOW) - NOW
    watch.look({}, [], NOW + 100)
    assert not watch.mute
    assert silent_from(watch, bench, NOW + 200) - NOW - 200 > 1.5 * first


async def test_the_first_frame_has_the_session_looked_at_anew(bench: Bench) -> None:
    told: list[tuple[SessionFacts, bool]] = []
    subscriber = bench.streamer.subscriber
    subscriber._on_session = lambda facts: told.append((facts, bench.streamer.mute))  # type: ignore[misc]
    subscriber.staleness = watched(bench)  # type: ignore[misc]
    silent_from(subscriber.staleness, bench, NOW)
    facts = SessionFacts(authenticated=True)
    subscriber.on_session(facts)
    assert told == [(facts, True)]
    bench.frame(FULL)
    assert told == [(facts, True), (facts, False)]
    bench.frame(FULL)
    assert len(told) == 2
