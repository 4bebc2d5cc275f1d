"""One side of a hand-over, either side: what is published, held, told and reported at each step."""

from __future__ import annotations

import asyncio
import json
import time

import msgspec
import pytest

from ibfeed_api.records import Tick, seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark
from ibfeed_worker.publish import Tail
from ibfeed_worker.stream import handover_buffer
from ibfeed_worker.stream.frame import decode
from ibfeed_worker.ticks import Normaliser
from support.fake_broker import FakeBroker
from unit.worker.stream.bench import FULL, OVERLAP_S, Bench, entry

STANDBY, ACTIVE, RETIRING = EntryState


def prices(broker: FakeBroker) -> list[str]:
    return [f"{value['price']:.2f}" for value in broker.ticks()]


def seqs(broker: FakeBroker) -> list[int]:
    return [value["seq"] for value in broker.ticks()]


def updates(bench: Bench, first: int, last: int) -> list[int]:
    """Frames with prices 70.01, 70.02 ...; their event times."""
    return [bench.frame({**FULL, "31": f"70.{n:02d}"} if n == 1 else {"31": f"70.{n:02d}"}) for n in range(first, last)]


def warm(bench: Bench, epoch: int = 2) -> None:
    bench.streamer.obey((entry(epoch=epoch, state=STANDBY),))
    bench.subscribe()


def mark(at: int, epoch: int = 1) -> Mark:
    return Mark(event_time=at, seq=seq_of(epoch, 40))


# The new worker.


@pytest.mark.parametrize("published", range(1, 6))
async def test_standby_goes_on_behind_the_mark_wherever_it_is(bench: Bench, broker: FakeBroker, published: int) -> None:
    warm(bench)
    times = updates(bench, 1, 6)
    await bench.warm()
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.event_time, report.seq) == (2, None, None)
    assert broker.ticks() == broker.events("assigned") == []
    bench.streamer.obey((entry(epoch=2, mark=mark(times[published - 1])),))
    updates(bench, 6, 8)
    assert prices(broker) == [f"70.{n:02d}" for n in range(published + 1, 8)]
    assert seqs(broker) == [seq_of(2, n + 1) for n in range(7 - published)]
    assert broker.events("gap") == []
    assert len(broker.events("assigned")) == 1
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.event_time, report.seq) == (2, bench.now, seqs(broker)[-1])


async def test_a_former_worker_that_is_ahead_of_us_is_not_repeated(bench: Bench, broker: FakeBroker) -> None:
    warm(bench)
    (at,) = updates(bench, 1, 2)
    bench.streamer.obey((entry(epoch=2, mark=mark(at + 1000)),))
    updates(bench, 2, 5)
    assert prices(broker) == ["70.04"]
    assert broker.events("gap") == []


@pytest.mark.parametrize("ahead_ms", [500, 700, 1000])
async def test_a_first_frame_from_before_the_mark_means_that_nothing_is_missed(
    bench: Bench, broker: FakeBroker, ahead_ms: int
) -> None:
    bench.streamer.obey((entry(epoch=2, mark=mark(bench.now + ahead_ms)),))
    bench.subscribe()
    updates(bench, 1, 5)
    assert prices(broker) == [f"70.{n:02d}" for n in range(ahead_ms // 500 + 1, 5)]
    assert broker.events("gap") == []


async def test_a_contract_that_lost_its_line_has_a_hole(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    (before,) = updates(bench, 1, 2)
    bench.subscribe()  # again, on the same connection: it was ended in between
    after = bench.frame({**FULL, "31": "70.02"}, after_ms=9000)
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"], gap["detail"]) == (before, after, "there was no line for it")


async def test_a_quiet_contract_is_publishing_as_soon_as_it_is_taken_over(bench: Bench, broker: FakeBroker) -> None:
    warm(bench)
    (at,) = updates(bench, 1, 2)
    bench.streamer.obey((entry(epoch=2, mark=mark(at)),))
    (report,) = bench.streamer.reports()
    assert (report.state, report.event_time) == (ContractState.PUBLISHING, at)
    assert broker.ticks() == []


async def test_what_came_between_the_mark_and_the_first_frame_is_told_with_its_bounds(
    bench: Bench, broker: FakeBroker
) -> None:
    before = bench.now
    warm(bench)
    first, _ = updates(bench, 1, 3)
    bench.streamer.obey((entry(epoch=2, mark=mark(before)),))
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"], gap["epoch"]) == (before, first, 2)
    assert prices(broker) == ["70.01", "70.02"]


@pytest.mark.parametrize("published", [1, 2, 3, 4])
async def test_a_hole_while_standing_by_counts_only_if_it_is_behind_the_mark(
    bench: Bench, broker: FakeBroker, published: int
) -> None:
    warm(bench)
    times = updates(bench, 1, 3)
    bench.lose_connection()
    assert bench.state() is ContractState.SUBSCRIBING
    bench.subscribe()
    times.append(bench.frame({**FULL, "31": "70.03"}, after_ms=5000))
    times += updates(bench, 4, 6)
    bench.streamer.obey((entry(epoch=2, mark=mark(times[published - 1])),))
    assert prices(broker) == [f"70.{n:02d}" for n in range(published + 1, 6)]
    told = [(gap["from_ms"], gap["to_ms"]) for gap in broker.events("gap")]
    assert told == ([(times[1], times[2])] if published < 3 else [])


async def test_what_outgrows_the_buffer_is_counted_and_is_a_gap_if_nobody_published_it(
    bench: Bench, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover_buffer, "MOST", 4)
    warm(bench)
    times = updates(bench, 1, 11)
    samples = {s.name: s.value for family in bench.streamer.collector.collect() for s in family.samples}
    assert samples["ibfeed_ticks_outgrown_total"] == 6
    bench.streamer.obey((entry(epoch=2, mark=mark(times[3])),))
    assert prices(broker) == ["70.07", "70.08", "70.09", "70.10"]
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"], gap["detail"]) == (times[3], times[6], handover_buffer.OUTGROWN)


@pytest.mark.parametrize(("age_s", "kept"), [(899, 3), (901, 2), (2000, 1)])
def test_what_is_held_is_bounded_in_time(age_s: int, kept: int) -> None:
    normaliser, buffer = Normaliser(7, "CLZ6"), handover_buffer.HandoverBuffer()
    for n, received_s in enumerate((1000, 1000 + age_s // 2, 1000 + age_s)):
        text = json.dumps({"conid": 7, "_updated": 1000 + n, **FULL, "31": f"70.{n:02d}"})
        found = normaliser.normalise(decode(text.encode()), received_s * 10**9, 0)
        assert isinstance(found, Tick)
        buffer.add(handover_buffer.HeldTick(found))
    left = buffer.go_on(999, None)
    assert len(left) == kept
    assert (left[0].why, left[0].after) == (("", None) if kept == 3 else (handover_buffer.OUTGROWN, 999))
    assert buffer.go_on(None, None) == []


@pytest.mark.parametrize("epoch", [2, 3])
async def test_a_hot_standby_goes_on_behind_what_kafka_has(bench: Bench, broker: FakeBroker, epoch: int) -> None:
    """Its owner died, so nobody knows a mark; under its own epoch, or under a later one."""
    bench.streamer.obey((msgspec.structs.replace(entry(epoch=2, state=STANDBY), hot=True),))
    bench.subscribe()
    assert bench.streamer.standby_count == 0
    times = updates(bench, 1, 6)
    await bench.warm()
    assert bench.streamer.standby_count == 1
    broker.tail = Tail(mark(times[2]), epoch=1)
    bench.streamer.obey((entry(epoch=epoch),))
    await bench.until(lambda: broker.ticks())
    updates(bench, 6, 8)
    assert prices(broker) == ["70.04", "70.05", "70.06", "70.07"]
    assert broker.events("gap") == []
    assert bench.streamer.standby_count == 0


@pytest.mark.parametrize(("hot", "away", "kept"), [(True, False, 2), (True, True, 3), (False, False, 3)])
async def test_a_hot_standby_holds_a_minute_and_more_while_the_api_server_is_away(
    bench: Bench, broker: FakeBroker, hot: bool, away: bool, kept: int
) -> None:
    bench.streamer.obey((msgspec.structs.replace(entry(epoch=2, state=STANDBY), hot=hot),))
    bench.subscribe()
    bench.streamer.hold_long(away)
    times = [bench.frame({**FULL, "31": f"70.{n:02d}"}, ago_s=ago) for n, ago in enumerate((90.0, 45.0, 0.0))]
    bench.streamer.obey((entry(epoch=2, mark=mark(times[0] - 1)),))
    assert prices(broker) == ["70.00", "70.01", "70.02"][-kept:]
    (gap,) = broker.events("gap")
    assert gap["detail"] == (handover_buffer.OUTGROWN if kept == 2 else "the contract came to this worker")
    assert bench.metric("ibfeed_ticks_outgrown_total") == 0


async def test_a_hot_standby_gives_its_line_to_whatever_else_wants_one(bench: Bench) -> None:
    hot = msgspec.structs.replace(entry(1, state=STANDBY), hot=True)
    bench.streamer.obey((hot, entry(2, state=STANDBY), entry(3)))
    assert list(bench.streamer.subscriber.desired()) == [3, 2, 1]


async def test_a_standby_that_goes_leaves_no_trace(bench: Bench, broker: FakeBroker) -> None:
    warm(bench)
    updates(bench, 1, 4)
    bench.streamer.obey(())
    assert bench.streamer.reports() == ()
    assert bench.streamer.subscriber.desired() == []
    assert broker.ticks() == broker.events() == []


async def test_a_standby_that_gives_its_account_back_knows_no_mark(bench: Bench, broker: FakeBroker) -> None:
    warm(bench)
    updates(bench, 1, 4)
    await bench.streamer.release()
    (report,) = bench.streamer.reports()
    assert (report.state, report.event_time) == (ContractState.RELEASED, None)
    assert broker.ticks() == []


async def test_a_former_worker_that_stands_by_again_knows_no_mark(bench: Bench) -> None:
    await bench.begin(entry())
    bench.subscribe()
    updates(bench, 1, 3)
    bench.streamer.obey((entry(state=RETIRING),))
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    bench.streamer.obey((entry(epoch=3, state=STANDBY),))
    await bench.warm()
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.event_time) == (3, None)


async def test_warm_is_who_has_been_shown_the_contract_for_longer_than_snapshots_are_apart(bench: Bench) -> None:
    """Else its first frame may be of a moment that the former worker has not been shown yet when it is to retire."""
    begin = time.monotonic()
    warm(bench)
    updates(bench, 1, 3)
    told = bench.changes
    assert bench.state() is ContractState.SUBSCRIBING
    await bench.warm()
    assert time.monotonic() - begin > OVERLAP_S / 2
    assert bench.changes > told


async def test_a_new_connection_is_a_new_beginning_for_who_stands_by(bench: Bench) -> None:
    warm(bench)
    updates(bench, 1, 2)
    bench.lose_connection()
    bench.subscribe()
    await asyncio.sleep(2 * OVERLAP_S)
    assert bench.state() is ContractState.SUBSCRIBING
    updates(bench, 2, 3)
    assert bench.state() is ContractState.SUBSCRIBING
    await bench.warm()


async def test_who_has_stood_by_for_long_is_warm_under_a_new_epoch_at_once(bench: Bench) -> None:
    warm(bench)
    updates(bench, 1, 2)
    await bench.warm()
    bench.streamer.obey((entry(epoch=4, state=STANDBY),))
    assert bench.state() is ContractState.WARM


# The former worker.


async def test_what_was_missed_while_the_account_was_given_back_is_a_gap(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    (before,) = updates(bench, 1, 2)
    await bench.streamer.release()
    bench.streamer.obey((entry(epoch=2, mark=Mark(event_time=before, seq=seq_of(1, 1))),))
    assert bench.state() is ContractState.SUBSCRIBING
    bench.subscribe()
    after = bench.frame({**FULL, "31": "70.09"}, after_ms=9000)
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"], gap["epoch"]) == (before, after, 2)


async def test_a_released_contract_goes_on_where_it_stopped_when_the_move_turns_back(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    updates(bench, 1, 3)
    bench.streamer.obey((entry(state=RETIRING),))
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    (report,) = bench.streamer.reports()
    updates(bench, 3, 5)
    assert prices(broker) == ["70.01", "70.02"]
    assert report.event_time is not None
    assert report.seq is not None
    bench.streamer.obey((entry(epoch=3, mark=Mark(event_time=report.event_time, seq=report.seq)),))
    updates(bench, 5, 7)
    assert prices(broker) == [f"70.{n:02d}" for n in range(1, 7)]
    assert seqs(broker) == [seq_of(1, 1), seq_of(1, 2), *(seq_of(3, n) for n in range(1, 5))]
    assert broker.events("gap") == []


async def test_two_updates_of_one_time_survive_turning_back(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    (at,) = updates(bench, 1, 2)
    bench.streamer.obey((entry(state=RETIRING),))
    bench.frame({"31": "70.02"}, after_ms=0)
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    bench.streamer.obey((entry(epoch=2, mark=Mark(event_time=at, seq=seq_of(1, 1))),))
    assert prices(broker) == ["70.01", "70.02"]


async def test_turning_back_behind_another_workers_mark(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    updates(bench, 1, 3)
    bench.streamer.obey((entry(state=RETIRING),))
    times = updates(bench, 3, 6)
    bench.streamer.obey((entry(epoch=3, mark=mark(times[1], epoch=2)),))
    assert prices(broker) == ["70.01", "70.02", "70.05"]


async def test_turning_back_without_a_mark_asks_kafka(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    updates(bench, 1, 3)
    bench.streamer.obey((entry(state=RETIRING),))
    times = updates(bench, 3, 6)
    broker.tail = Tail(mark(times[0], epoch=2))
    bench.streamer.obey((entry(epoch=3),))
    await bench.until(lambda: len(broker.ticks()) == 4)
    assert prices(broker) == ["70.01", "70.02", "70.04", "70.05"]


async def test_what_kafka_had_no_room_for_is_not_forgotten_by_a_new_epoch(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.acknowledges, broker.room = False, 2
    times = updates(bench, 1, 6)  # the third and the fourth give way
    await bench.until(lambda: len(broker.open) == 2)
    bench.streamer.obey((entry(epoch=2),))
    (report,) = bench.streamer.reports()
    assert (report.state, report.event_time) == (ContractState.SUBSCRIBING, None)
    broker.acknowledges, broker.room = True, 10**6
    broker.answer()
    await bench.until(lambda: broker.events("gap"))
    assert [value["event_time"] for value in broker.ticks()] in (
        [times[0], times[1], times[4]],
        [times[0], times[4]],  # an event had the other place
    )
    (gap,) = broker.events("gap")
    assert gap["to_ms"] == times[4]


async def test_release_waits_for_what_an_earlier_epoch_has_under_way(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.acknowledges = False
    (at,) = updates(bench, 1, 2)
    bench.streamer.obey((entry(epoch=2),))
    bench.streamer.obey((entry(epoch=2, state=RETIRING),))
    await asyncio.sleep(0.03)
    assert bench.state() is not ContractState.RELEASED
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    (report,) = bench.streamer.reports()
    assert (report.event_time, report.seq) == (at, seq_of(1, 1))


# The account is lost.


async def test_nothing_is_handed_over_while_the_account_is_not_ours(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    updates(bench, 1, 3)
    bench.ours = False
    updates(bench, 3, 5)
    assert prices(broker) == ["70.01", "70.02"]


async def test_a_lost_account_gives_up_what_is_under_way_and_releases_without_a_mark(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    (done,) = updates(bench, 1, 2)
    await bench.until(lambda: bench.streamer.reports()[0].event_time == done)
    broker.acknowledges = False
    updates(bench, 2, 4)
    bench.ours = False
    updates(bench, 4, 5)
    bench.streamer.cut_off()
    assert broker.open == []
    updates(bench, 5, 6)
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    (report,) = bench.streamer.reports()
    assert (report.event_time, report.seq) == (None, None)
    assert prices(broker) == ["70.01", "70.02", "70.03"]
    await bench.until(lambda: broker.connections == 2)


async def test_after_a_lost_account_only_a_higher_epoch_goes_on_and_says_what_is_missing(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    (done,) = updates(bench, 1, 2)
    await bench.until(lambda: bench.streamer.reports()[0].event_time == done)
    broker.acknowledges = False
    updates(bench, 2, 4)
    bench.streamer.cut_off()
    broker.acknowledges = True
    await bench.until(lambda: bench.state() is ContractState.RELEASED and broker.connections == 2)
    await asyncio.sleep(0.05)  # a new session takes seconds, too
    bench.streamer.obey((entry(),))  # what it knew when the account was lost
    updates(bench, 4, 5)
    assert prices(broker) == ["70.01", "70.02", "70.03"]
    broker.tail = Tail(mark(done))
    bench.streamer.obey((entry(epoch=2),))
    (*_, after) = updates(bench, 5, 6)
    await bench.until(lambda: broker.events("gap") and bench.state() is ContractState.PUBLISHING)
    assert prices(broker)[3:] == ["70.04", "70.05"]
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (done, after - 500)


# Nobody can say how far it was published.


def orphan(came: EntryState) -> tuple[Entry, ...]:
    return (entry(epoch=2, state=came),)


@pytest.mark.parametrize("came", [STANDBY, ACTIVE])
async def test_without_a_mark_kafka_is_asked_and_nothing_is_published_before_it_answers(
    bench: Bench, broker: FakeBroker, came: EntryState
) -> None:
    bench.streamer.obey(orphan(came))
    bench.subscribe()
    times = updates(bench, 1, 5)
    broker.tail = Tail(mark(times[1]))
    bench.streamer.obey(orphan(ACTIVE))
    assert bench.state() is ContractState.SUBSCRIBING
    assert broker.ticks() == []
    await bench.until(broker.ticks)
    updates(bench, 5, 6)
    assert prices(broker) == ["70.03", "70.04", "70.05"]
    assert broker.events("gap") == []
    assert broker.searches == 1


async def test_a_contract_that_was_never_published_has_no_gap(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    updates(bench, 1, 3)
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.01", "70.02"]
    assert broker.events("gap") == []


@pytest.mark.parametrize("early", [True, False], ids=["frames first", "answer first"])
async def test_if_kafka_cannot_tell_the_gap_says_so(bench: Bench, broker: FakeBroker, early: bool) -> None:
    broker.unreadable = "kafka:9092: not authorized"
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    if not early:
        await bench.until(lambda: broker.searches)
        await asyncio.sleep(0.03)
    first, _ = updates(bench, 1, 3)
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.01", "70.02"]
    (gap,) = broker.events("gap")
    assert "from_ms" not in gap
    assert gap["to_ms"] == first
    assert gap["detail"] == "what was published last is not known: kafka:9092: not authorized"


@pytest.mark.parametrize("unreadable", [True, False], ids=["Kafka can't tell", "not in the latest records"])
async def test_a_contract_that_nobody_had_before_has_no_gap_whatever_kafka_says(
    bench: Bench, broker: FakeBroker, unreadable: bool
) -> None:
    broker.unreadable = "kafka:9092: not authorized" if unreadable else ""
    broker.tail = Tail(None, "the partition's latest records hold none of the contract")
    bench.streamer.obey((entry(epoch=9, fresh=True),))
    bench.subscribe()
    updates(bench, 1, 3)
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.01", "70.02"]
    assert broker.events("gap") == []


async def test_a_contract_that_comes_back_to_the_feed_repeats_nothing(bench: Bench, broker: FakeBroker) -> None:
    """Of a root that was removed and added again the operator remembers nothing; Kafka does."""
    bench.streamer.obey((entry(epoch=9, fresh=True),))
    bench.subscribe()
    times = updates(bench, 1, 3)
    broker.tail = Tail(mark(times[0]))
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.02"]


async def test_what_was_fresh_once_is_not_fresh_to_a_new_process(broker: FakeBroker) -> None:
    bench = Bench(broker)
    broker.unreadable = "kafka:9092: not authorized"
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey((entry(epoch=9, fresh=True),))
    bench.subscribe()
    updates(bench, 1, 3)
    await bench.until(broker.ticks)
    assert len(broker.events("gap")) == 1
    await bench.streamer.close()


async def test_a_new_process_asks_kafka_although_there_is_a_mark(broker: FakeBroker) -> None:
    bench = Bench(broker)
    old, newer = bench.now - 5000, bench.now + 500
    broker.tail = Tail(mark(newer, epoch=4), epoch=4)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey((entry(epoch=5, mark=mark(old, epoch=4)),))
    bench.subscribe()
    updates(bench, 1, 4)
    assert bench.streamer.reports()[0].event_time is None
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.02", "70.03"]
    assert broker.events("gap") == []
    await bench.streamer.close()


async def test_a_new_process_that_has_to_retire_does_not_pass_an_old_mark_on(broker: FakeBroker) -> None:
    bench = Bench(broker)
    bench.streamer.obey((entry(epoch=5, state=RETIRING, mark=mark(bench.now, epoch=4)),))
    (report,) = bench.streamer.reports()
    assert (report.state, report.epoch, report.event_time) == (ContractState.RELEASED, 5, None)


async def test_a_new_process_publishes_nothing_under_the_epoch_of_an_earlier_one(broker: FakeBroker) -> None:
    now = int(time.time())
    bench = Bench(broker, left_behind={7: now - 60})
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey((entry(epoch=now - 60),))
    bench.subscribe()
    (report,) = bench.streamer.reports()
    assert (report.state, report.epoch, report.event_time) == (ContractState.RELEASED, now - 60, None)
    times = updates(bench, 1, 4)
    assert broker.ticks() == []
    broker.tail = Tail(mark(times[0], epoch=now - 60), epoch=now - 60)
    bench.streamer.obey((entry(epoch=now),))
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.02", "70.03"]
    assert seqs(broker) == [seq_of(now, 1), seq_of(now, 2)]
    assert broker.events("gap") == []
    await bench.streamer.close()


# Nobody vouches for an epoch.


async def test_an_epoch_that_kafka_has_is_not_published_under(bench: Bench, broker: FakeBroker) -> None:
    """A feed that was deleted and applied again by an operator whose clock was set back, or that lost its status."""
    at = bench.now
    broker.tail = Tail(mark(at, epoch=9), epoch=9)
    bench.streamer.obey((entry(epoch=9, fresh=True),))
    bench.subscribe()
    times = updates(bench, 1, 4)
    await bench.until(lambda: bench.streamer.reports()[0].kafka_epoch)
    (report,) = bench.streamer.reports()
    assert (report.state, report.kafka_epoch, report.event_time) == (ContractState.SUBSCRIBING, 9, None)
    assert broker.ticks() == []
    bench.streamer.obey((entry(epoch=10, fresh=True),))
    await bench.until(broker.ticks)
    assert broker.searches == 2
    assert [value["event_time"] for value in broker.ticks()] == times
    assert seqs(broker) == [seq_of(10, n) for n in (1, 2, 3)]
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.kafka_epoch) == (10, None)


@pytest.mark.parametrize("epoch", [8, 9, 10])
async def test_a_contract_goes_on_only_above_what_kafka_has(bench: Bench, broker: FakeBroker, epoch: int) -> None:
    broker.tail = Tail(mark(bench.now, epoch=9), epoch=9)
    bench.streamer.obey((entry(epoch=epoch),))
    bench.subscribe()
    updates(bench, 1, 3)
    await bench.until(lambda: broker.searches and not bench.streamer._contracts[7].waits_for_kafka)
    assert bool(broker.ticks()) == (epoch > 9)
    assert bench.streamer.reports()[0].kafka_epoch == (None if epoch > 9 else 9)


async def test_a_live_contract_ends_when_another_worker_publishes_it(bench: Bench, broker: FakeBroker) -> None:
    """This worker can't renew its Lease, and goes on; a person deleted its pod by force."""
    await bench.begin(entry(epoch=9))
    bench.subscribe()
    updates(bench, 1, 3)
    before = len(broker.ticks())
    assert before
    broker.tail = Tail(mark(bench.now, epoch=9), epoch=9)
    await bench.streamer.watch_tails()
    assert bench.streamer._contracts[7].flows, "it is our own epoch"
    broker.tail = Tail(mark(bench.now, epoch=12), epoch=12)
    await bench.streamer.watch_tails()
    updates(bench, 3, 5)
    (report,) = bench.streamer.reports()
    assert (report.state, report.kafka_epoch) == (ContractState.SUBSCRIBING, 12)
    assert len(broker.ticks()) == before


async def test_a_contract_that_waits_for_an_epoch_is_let_go(bench: Bench, broker: FakeBroker) -> None:
    broker.tail = Tail(mark(bench.now, epoch=9), epoch=9)
    bench.streamer.obey((entry(epoch=5),))
    bench.subscribe()
    updates(bench, 1, 3)
    await bench.until(lambda: bench.streamer.reports()[0].kafka_epoch)
    bench.streamer.obey((entry(epoch=5, state=RETIRING),))
    assert bench.state() is ContractState.RELEASED
    (report,) = bench.streamer.reports()
    assert (report.event_time, report.seq) == (None, None)


async def test_only_what_nobody_remembers_is_looked_for_everywhere(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(7, epoch=9, fresh=True), entry(8, epoch=9)))
    await bench.until(lambda: broker.searches == 2)
    assert broker.questions == [[("8", False)], [("7", True)]]  # what somebody had is in a hurry


async def test_seq_grows_over_an_epoch_of_very_many_records(bench: Bench, broker: FakeBroker) -> None:
    """Under an operator whose clock stands still, or was set back: epochs grow by one."""
    await bench.begin(entry(epoch=5))
    bench.subscribe()
    bench.streamer._contracts[7].count = 3 * 2**20
    updates(bench, 1, 3)
    bench.streamer.obey((entry(epoch=6),))
    updates(bench, 3, 5)
    assert seqs(broker) == [seq_of(5, 3 * 2**20 + n) for n in range(1, 5)]


async def test_seq_grows_over_anothers_epoch_of_very_many_records(bench: Bench, broker: FakeBroker) -> None:
    warm(bench, epoch=6)
    (at,) = updates(bench, 1, 2)
    last = seq_of(5, 3 * 2**20)
    bench.streamer.obey((entry(epoch=6, mark=Mark(event_time=at, seq=last)),))
    updates(bench, 2, 4)
    assert seqs(broker) == [last + 1, last + 2]


async def test_kafka_is_asked_once_it_is_there(broker: FakeBroker) -> None:
    broker.down = "kafka:9092: connection refused"
    bench = Bench(broker)
    await bench.streamer.start()
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    times = updates(bench, 1, 5)
    broker.tail = Tail(mark(times[0]))
    await asyncio.sleep(0.05)
    assert broker.searches == 0
    broker.down = ""
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.02", "70.03", "70.04"]
    await bench.streamer.close()


async def test_a_contract_taken_away_while_kafka_is_asked_is_brought_up_to_date_first(
    bench: Bench, broker: FakeBroker
) -> None:
    """Nobody else need have what came since this worker subscribed."""
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    times = updates(bench, 1, 4)
    broker.tail = Tail(mark(times[0]))
    bench.streamer.obey((entry(epoch=2, state=RETIRING),))
    assert bench.state() is ContractState.SUBSCRIBING
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    updates(bench, 4, 6)
    assert prices(broker) == ["70.02", "70.03"]
    assert broker.events("gap") == []
    (report,) = bench.streamer.reports()
    assert (report.event_time, report.seq) == (times[2], seq_of(2, 2))


async def test_a_contract_taken_away_while_kafka_is_asked_is_released_although_it_is_quiet(
    bench: Bench, broker: FakeBroker
) -> None:
    bench.streamer.obey(orphan(ACTIVE))
    bench.streamer.obey((entry(epoch=2, state=RETIRING),))
    assert bench.streamer.owes
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    assert not bench.streamer.owes
    assert bench.streamer.reports()[0].event_time is None


async def test_who_gives_the_account_back_while_kafka_is_away_does_not_wait_for_it(broker: FakeBroker) -> None:
    broker.down = "kafka:9092: connection refused"
    bench = Bench(broker)
    await bench.streamer.start()
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    updates(bench, 1, 3)
    async with asyncio.timeout(5):
        await bench.streamer.release(0.2)
    assert (bench.state(), bench.streamer.reports()[0].event_time) == (ContractState.RELEASED, None)
    await bench.streamer.close()


async def test_an_answer_for_an_epoch_that_is_over_publishes_nothing(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey(orphan(ACTIVE))
    bench.subscribe()
    updates(bench, 1, 3)
    bench.streamer.obey((entry(epoch=3),))
    await bench.until(broker.ticks)
    assert prices(broker) == ["70.01", "70.02"]
    assert seqs(broker) == [seq_of(3, 1), seq_of(3, 2)]


async def test_contracts_that_are_published_keep_their_lines(bench: Bench) -> None:
    near, far = entry(1, epoch=2, state=STANDBY), entry(2)
    bench.streamer.obey((near, far))
    assert bench.streamer.subscriber.desired() == [2, 1]
