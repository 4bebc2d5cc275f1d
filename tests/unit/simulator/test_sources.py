"""The seeded walk, the replay, and the exchange that lets them move."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime
from typing import Any

import pytest

from ibfeed_simulator.market import contracts, hours, replay
from ibfeed_simulator.market.exchange import Exchange
from ibfeed_simulator.market.replay import Recording, Replay
from ibfeed_simulator.market.source import Changes, Source
from ibfeed_simulator.market.walk import SLOWER_PER_MONTH, Walk

TODAY = date(2026, 11, 18)
START = datetime(2026, 11, 18, 15, tzinfo=UTC).timestamp()


def walk(seed: int = 1, rank: int = 0, slower: float = SLOWER_PER_MONTH) -> Walk:
    return Walk(contracts.listed("CL", TODAY)[rank], seed, rank, 0.5, START, slower)


def run(source: Source, seconds: float, step: float = 0.05) -> list[tuple[float, Changes]]:
    moves = []
    for index in range(int(seconds / step)):
        now = START + index * step
        if changes := source.advance(now):
            moves.append((now, changes))
    return moves


def test_the_same_seed_walks_the_same_way() -> None:
    assert run(walk(), 60) == run(walk(), 60)
    assert run(walk(), 60) != run(walk(seed=2), 60)


def test_the_front_month_moves_twice_a_second_and_never_more() -> None:
    times = [now for now, _ in run(walk(), 60)]
    assert 110 <= len(times) <= 120
    assert len(run(walk(rank=6), 60)) < len(times) / 2


def test_all_months_move_alike_if_none_is_to_be_slower() -> None:
    assert len(run(walk(rank=11, slower=1), 60)) == len(run(walk(slower=1), 60)) == 120


def test_a_walk_says_only_what_changed_and_keeps_the_books_straight() -> None:
    source = walk()
    shown = source.full()
    for _, changes in run(source, 300):
        assert changes
        assert all(shown.get(key) != value for key, value in changes.items())
        shown |= changes
        assert float(str(shown["84"])) < float(str(shown["86"]))
        assert str(shown["71"]) <= str(shown["31"]) <= str(shown["70"])
    assert shown == {**shown, **source.full()}


def test_a_ladder_has_twenty_rows_around_the_market() -> None:
    source = walk()
    rows = source.ladder()
    assert len(rows) == 20
    shown = source.full()
    assert (rows[9].ask, rows[10].bid) == (shown["85"], shown["88"])
    assert all(row.bid is None for row in rows[:10])
    assert all(row.ask is None for row in rows[10:])
    focused = [row for row in rows if row.focus]
    assert all(" @ " in row.price for row in focused)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return replay.load(replay.DATA, "0.25")


def test_the_replay_is_the_recorded_hour(recording: Recording) -> None:
    with gzip.open(replay.DATA / replay.TRADES, "rt") as file:
        trades = list(csv.DictReader(file))
    source = Replay(contracts.listed("ES", TODAY)[0], recording, START, 0.5)
    shown = source.full()
    for _, changes in run(source, recording.seconds + 1, step=0.5):
        shown |= changes
    assert shown["7762"] == str(sum(int(trade["size"]) for trade in trades))
    assert float(str(shown["31"])) == float(trades[-1]["price"])
    assert float(str(shown["70"])) == max(float(trade["price"]) for trade in trades)
    assert float(str(shown["71"])) == min(float(trade["price"]) for trade in trades)


def test_after_the_hour_comes_a_break_and_a_new_day(recording: Recording) -> None:
    source = Replay(contracts.listed("ES", TODAY)[0], recording, START, 0.5)
    source.full()
    end = START + recording.seconds + 0.01
    source.advance(end)
    close = source.last()
    assert not source.advance(end + 2)
    again = source.advance(end + 5)
    assert again["7741"] == close
    assert int(str(again["7762"])) < 100  # the volume counts from zero


def test_a_new_day_has_not_traded_yet() -> None:
    source = walk()
    source.full()
    source.new_day()
    shown = source.full()
    assert shown["31"] == f"C{source.last()}" == f"C{shown['7741']}"
    assert shown["7762"] == "0"
    assert "7059" not in shown


def exchange(now: list[float], **more: Any) -> Exchange:
    return Exchange(1, "common", more.pop("opening", "always"), lambda: now[0], None, **more)


def test_nobody_watches_nothing_moves() -> None:
    now = [START]
    venue = exchange(now)
    conid = venue.listed("CL")[0].conid
    assert venue.instrument(conid) is not None
    now[0] += 10
    assert list(venue.moved(now[0])) == []
    venue.watch(conid)
    assert [instrument.contract.conid for instrument in venue.moved(now[0])] == [conid]


def test_updated_grows_strictly_even_when_the_clock_goes_back() -> None:
    now = [START]
    venue = exchange(now)
    instrument = venue.instrument(venue.listed("CL")[0].conid)
    assert instrument is not None
    seen = [instrument.updated]
    for _ in range(5):
        now[0] -= 1
        instrument.apply({"31": "1"}, int(now[0] * 1000))
        seen.append(instrument.updated)
    assert seen == sorted(set(seen))


def test_a_closed_market_stands_still_and_reopens_with_the_previous_close() -> None:
    saturday = datetime(2026, 11, 21, 18, tzinfo=UTC).timestamp()
    now = [saturday]
    venue = exchange(now, opening="exchange")
    conid = venue.listed("CL")[0].conid
    instrument = venue.instrument(conid)
    assert instrument is not None
    venue.watch(conid)
    assert list(venue.moved(now[0] + 5)) == []
    now[0] = datetime(2026, 11, 22, 23, 0, 5, tzinfo=UTC).timestamp()  # Sunday 17:00 in Chicago
    assert list(venue.moved(now[0])) == [instrument]
    assert instrument.values["31"].startswith("C") or instrument.values["7762"] != "0"  # type: ignore[union-attr]


def test_the_market_rolls_with_the_clock() -> None:
    now = [datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp()]
    venue = exchange(now)
    front = venue.listed("CL")[0]
    instrument = venue.instrument(front.conid)
    assert instrument is not None
    venue.watch(front.conid)
    now[0] += 86_400
    venue.clock_moved()
    assert venue.listed("CL")[0] != front
    assert list(venue.moved(now[0])) == []


def test_globex_hours() -> None:
    def opened(day: int, hour: int) -> bool:
        return hours.is_open("exchange", datetime(2026, 11, day, hour, tzinfo=UTC).timestamp())

    assert opened(18, 15)
    assert not opened(18, 22)  # 16:00 in Chicago: the daily break
    assert opened(18, 23)
    assert not opened(21, 15)  # Saturday
    assert not opened(26, 15)  # Thanksgiving
