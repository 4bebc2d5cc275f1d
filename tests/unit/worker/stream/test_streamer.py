"""The feeder without a network: frames in by hand, records out at Kafka's edge."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import KafkaError

from ibfeed_api.feed import Kafka
from ibfeed_api.records import epoch_of, seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark
from ibfeed_worker.publish import Tail
from ibfeed_worker.publish import broker as edge
from ibfeed_worker.publish.survey import TopicLimits
from ibfeed_worker.stream import Streamer
from support.fake_broker import FakeBroker, Produced, Refused
from unit.worker.stream.bench import FULL, Bench, entry


async def test_a_contract_goes_from_subscribing_to_publishing_when_kafka_has_its_first_record(
    bench: Bench, broker: FakeBroker
) -> None:
    broker.acknowledges = False
    bench.streamer.obey((entry(epoch=4, mark=Mark(event_time=bench.now, seq=seq_of(3, 9))),))
    bench.subscribe()
    assert bench.state() is ContractState.SUBSCRIBING
    at = bench.frame(FULL)
    assert bench.state() is ContractState.SUBSCRIBING
    broker.answer()
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.event_time, report.seq) == (4, at, seq_of(4, 1))
    record = next(record for record in broker.produced if record.topic == "ticklast")
    assert (record.key, record.partition) == ("7", (7 + 12) % 12)
    assert record.headers == {"epoch": "4", "worker": "energy-0", "schema": "ticklast/2"}


async def test_a_contract_without_a_trade_counts_as_publishing_once_its_subscription_is_confirmed(bench: Bench) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame({"84": "71.89", "6509": "RB"})
    (report,) = bench.streamer.reports()
    assert (report.state, report.event_time) == (ContractState.PUBLISHING, None)


async def test_sequence_is_dense_within_an_epoch(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(epoch=2, mark=Mark(event_time=bench.now, seq=seq_of(1, 9))),))
    bench.subscribe()
    for cents in range(5):
        bench.frame({**FULL, "31": f"71.{cents:02d}"})
    assert [value["seq"] for value in broker.ticks()] == [seq_of(2, count) for count in range(1, 6)]


async def test_retiring_stops_at_once_and_is_released_only_when_kafka_has_everything(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.acknowledges = False
    bench.frame(FULL)
    last = bench.frame({"31": "71.95"})
    bench.streamer.obey((entry(state=EntryState.RETIRING),))
    bench.frame({"31": "71.99"})
    assert bench.state() is not ContractState.RELEASED
    assert bench.streamer.subscriber.desired() == [7]
    broker.answer()
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    (report,) = bench.streamer.reports()
    assert (report.event_time, report.seq) == (last, seq_of(1, 2))
    assert bench.streamer.subscriber.desired() == [7]  # the move may turn back
    assert len(broker.ticks()) == 2
    bench.streamer.obey(())
    assert bench.streamer.subscriber.desired() == []


async def test_a_released_contract_comes_back_only_with_a_higher_epoch(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL)
    bench.streamer.obey((entry(state=EntryState.RETIRING),))
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    bench.streamer.obey((entry(),))
    assert bench.state() is ContractState.RELEASED
    bench.streamer.obey((entry(epoch=2, mark=Mark(event_time=bench.now, seq=seq_of(1, 1))),))
    assert bench.state() is ContractState.PUBLISHING  # it has been subscribed all the time
    bench.frame(FULL, after_ms=0)  # what we ourselves published last
    bench.frame({"31": "72.00"})
    assert [value["seq"] for value in broker.ticks()] == [seq_of(1, 1), seq_of(2, 1)]


async def test_an_entry_of_an_epoch_that_is_over_is_ignored(bench: Bench) -> None:
    bench.streamer.obey((entry(epoch=3),))
    bench.streamer.obey((entry(epoch=2, state=EntryState.RETIRING),))
    (report,) = bench.streamer.reports()
    assert (report.epoch, report.state) == (3, ContractState.SUBSCRIBING)
    bench.streamer.obey(())
    bench.streamer.obey((entry(epoch=2),))
    assert bench.streamer.reports() == ()


async def test_what_the_operator_takes_away_is_not_published_any_more(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry(7), entry(8))
    bench.subscribe()
    bench.streamer.obey((entry(8),))
    bench.frame(FULL, conid=7)
    bench.frame(FULL, conid=8)
    assert [value["conid"] for value in broker.ticks()] == [8]


async def test_a_mark_keeps_the_former_workers_last_record_from_coming_twice(bench: Bench, broker: FakeBroker) -> None:
    mark = Mark(event_time=bench.now, seq=seq_of(1, 40))
    bench.streamer.obey((entry(epoch=2, mark=mark),))
    bench.subscribe()
    bench.frame(FULL, after_ms=0)
    assert broker.ticks() == []
    (report,) = bench.streamer.reports()
    assert (report.state, report.event_time, report.seq) == (ContractState.PUBLISHING, mark.event_time, mark.seq)
    assert broker.events("gap") == []
    bench.frame({"31": "72.00"})
    assert broker.events("gap") == []  # nothing had happened in between


async def test_a_gap_is_told_when_something_happened_in_between(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    before = bench.frame(FULL)
    bench.lose_connection()
    bench.subscribe()
    after = bench.frame({**FULL, "31": "75.00"}, after_ms=60_000)
    (gap,) = broker.events("gap")
    assert (gap["conid"], gap["from_ms"], gap["to_ms"], gap["detail"]) == (
        7,
        before,
        after,
        "the connection to IB was lost",
    )


async def test_a_reconnection_without_a_change_is_no_gap(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL)
    bench.lose_connection()
    assert bench.state() is ContractState.SUBSCRIBING
    bench.subscribe()
    bench.frame(FULL, after_ms=0)
    bench.frame({"31": "72.00"})
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    assert broker.events("gap") == []
    assert len(broker.ticks()) == 2


async def test_what_is_new_after_the_renewal_of_a_quiet_line_may_be_more_than_one_update(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    before = bench.frame(FULL, ago_s=40)
    bench.streamer.subscriber.on_renewed([7, 8])  # 8 was taken away in the meantime
    after = bench.frame({**FULL, "31": "75.00"}, after_ms=30_000)
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (before, after)
    assert "before the subscription was renewed" in gap["detail"]
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)


@pytest.mark.parametrize(("ago_s", "repeats"), [(40.0, True), (0.5, False)])
async def test_a_renewal_is_no_gap_if_nothing_was_new_or_the_line_had_just_spoken(
    bench: Bench, broker: FakeBroker, ago_s: float, repeats: bool
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL, ago_s=ago_s)
    bench.streamer.subscriber.on_renewed([7])
    if repeats:
        bench.frame(FULL, after_ms=0)
    bench.frame({"31": "75.00"})
    assert len(broker.ticks()) == 2
    assert broker.events("gap") == []


async def test_a_new_process_never_reuses_a_number_of_its_epoch(broker: FakeBroker) -> None:
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    epoch = int(time.time()) - 60
    bench.streamer.obey((entry(epoch=epoch),))  # the first that this process hears: an earlier one may have had it
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(broker.ticks)
    (value,) = broker.ticks()
    assert epoch_of(value["seq"]) == epoch
    assert value["seq"] > seq_of(epoch, 60 * 7)
    await bench.streamer.close()


async def test_while_kafka_does_not_keep_up_the_latest_wins_and_the_loss_is_told(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL)
    broker.acknowledges, broker.room = False, 2
    await bench.until(lambda: not broker.open)
    kept = [bench.frame({"31": f"72.{cents:02d}"}) for cents in range(10)]
    assert len(broker.ticks()) == 3
    broker.acknowledges, broker.room = True, 10**6
    broker.answer()
    await bench.until(lambda: broker.events("gap"))
    times = [value["event_time"] for value in broker.ticks()]
    assert times[1:] == [kept[0], kept[1], kept[9]]
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (kept[1], kept[9])
    assert gap["detail"].startswith("7 updates lost")
    assert broker.ticks()[-1]["seq"] - broker.ticks()[-2]["seq"] == 8  # the hole shows the loss


async def test_a_record_that_kafka_never_takes_is_told_as_a_gap(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, 1)))
    broker.refuses = lambda record: Refused("too old", KafkaError.INVALID_TIMESTAMP) if is_price(record, 72) else None
    bench.frame({"31": "72.00"})
    await bench.until(lambda: bench.metric("ibfeed_ticks_failed_total") == 1)
    third = bench.frame({"31": "73.00"})
    await bench.until(lambda: broker.events("gap"))
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (first, third)
    assert "too old" in gap["detail"]


def is_price(record: Produced, price: int) -> bool:
    return record.topic == "ticklast" and record.value["price"] == price


async def test_what_is_refused_is_sent_again_in_order(bench: Bench, broker: FakeBroker) -> None:
    """By a new producer, for the old one could put what comes later before it."""
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, 1)))
    broker.acknowledges = False
    bench.frame({"31": "72.00"})
    bench.frame({"31": "73.00"})
    broker.answer("not authorized", number=KafkaError.TOPIC_AUTHORIZATION_FAILED)
    await bench.until(lambda: bench.metric("ibfeed_kafka_kept") == 2)
    bench.frame({"31": "74.00"})  # waits behind them
    broker.acknowledges = True
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 4)
    assert broker.connections == 2
    assert [value["price"] for value in broker.ticks()[-3:]] == [72, 73, 74]
    assert [value["seq"] for value in broker.ticks()[-3:]] == [seq_of(1, count) for count in (2, 3, 4)]
    assert broker.events("gap") == []
    assert bench.metric("ibfeed_kafka_records_again_total") == 2


async def test_what_kafka_has_of_a_lost_producer_is_not_sent_again(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.acknowledges = False
    second = bench.frame({"31": "72.00"})
    bench.frame({"31": "73.00"})
    broker.tail = Tail(Mark(event_time=second, seq=seq_of(1, 2)))  # it arrived, and its answer did not
    broker.fail("fatal: out of order")
    await bench.until(lambda: len(broker.ticks()) == 4)
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 3)
    assert [value["price"] for value in broker.ticks()] == [71.9, 72, 73, 73]
    assert broker.events("gap") == []


async def test_what_nobody_knows_to_be_on_kafka_is_told_as_a_gap(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.acknowledges = False
    bench.frame({"31": "72.00"})
    broker.unreadable = "kafka:9092: not authorized"
    broker.fail("fatal: out of order")
    await bench.until(lambda: bench.metric("ibfeed_ticks_failed_total") == 1)
    broker.acknowledges = True
    last = bench.frame({"31": "73.00"})
    await bench.until(lambda: broker.events("gap"))
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (first, last)
    assert "could not be found out" in gap["detail"]


@pytest.mark.parametrize(
    ("count", "mark_epoch", "again"),
    [(2**20 + 5, 1, True), (2**20 + 5, 2, False)],
    ids=["our own, in an epoch of very many records", "somebody else's"],
)
async def test_the_epoch_of_what_is_on_kafka_tells_whose_it_is(
    bench: Bench, broker: FakeBroker, count: int, mark_epoch: int, again: bool
) -> None:
    """A number alone does not: those of an epoch of very many records are as high as those of the next epochs."""
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    bench.streamer._contracts[7].begin_behind(seq_of(1, count))
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, count)), epoch=2, mark_epoch=mark_epoch)
    broker.acknowledges = False
    bench.frame({"31": "72.00"})
    broker.fail("fatal: out of order")
    broker.acknowledges = True
    done = "ibfeed_ticks_acknowledged_total" if again else "ibfeed_ticks_failed_total"
    await bench.until(lambda: bench.metric(done) == (2 if again else 1))
    assert [value["price"] for value in broker.ticks()] == ([71.9, 72, 72] if again else [71.9, 72])


async def test_events_of_a_lost_producer_are_sent_again(bench: Bench, broker: FakeBroker) -> None:
    broker.acknowledges = False
    await bench.begin(entry())
    assert len(broker.events("assigned")) == 1
    broker.fail("fatal: out of order")
    await bench.until(lambda: broker.connections == 2)
    broker.acknowledges = True
    await bench.until(lambda: len(broker.events("assigned")) == 2)
    assert bench.metric("ibfeed_events_lost_total") == 0


async def test_a_batch_above_the_topics_limit_loses_nothing(bench: Bench, broker: FakeBroker) -> None:
    """What Kafka takes is not known to us: it refuses the batch as a whole."""
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, 1)))
    broker.acknowledges = False
    for price in range(72, 80):
        bench.frame({"31": f"{price}.00"})
    size = sum(len(record.raw) for record in broker.open)
    broker.answer("Broker: Message size too large", number=KafkaError.MSG_SIZE_TOO_LARGE)
    broker.acknowledges = True
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 9)
    assert broker.batch_sizes == [1_000_000, size // 2]
    assert [value["price"] for value in broker.ticks()[-8:]] == list(range(72, 80))
    assert broker.events("gap") == []


async def test_a_record_above_the_topics_limit_is_lost_alone(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, 1)))
    large = Refused("Broker: Message size too large", KafkaError.MSG_SIZE_TOO_LARGE)
    broker.refuses = lambda record: large if is_price(record, 72) else None
    bench.frame({"31": "72.00"})
    last = bench.frame({"31": "73.00"})
    await bench.until(lambda: broker.events("gap"))
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (first, last)
    assert gap["detail"] == "1 updates lost: larger than the topic takes"
    await bench.until(lambda: bench.streamer.kafka_status().reason == "MessageTooLarge")
    status = bench.streamer.kafka_status()
    assert status.reachable
    assert "topic ticklast" in status.message and "max.message.bytes" in status.message


async def test_the_topics_limit_counts_where_it_is_known(broker: FakeBroker) -> None:
    broker.known = {name: TopicLimits(largest_batch=20_000, least_in_sync=1) for name in broker.topics}
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    assert broker.batch_sizes[-1] == 20_000
    await bench.streamer.close()


async def test_a_record_that_is_known_to_be_too_large_is_not_sent(broker: FakeBroker) -> None:
    broker.known = {"ticklast": TopicLimits(largest_batch=300, least_in_sync=1)}
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey((entry(),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.metric("ibfeed_ticks_failed_total") == 1)
    assert broker.ticks() == []
    assert bench.state() is ContractState.SUBSCRIBING
    await bench.streamer.close()


async def test_a_record_that_the_client_refuses_blocks_no_other(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.largest = 10
    bench.frame(FULL)
    broker.largest = 10**6
    bench.frame({"31": "72.00"})
    await bench.until(lambda: broker.events("gap"))
    assert [value["price"] for value in broker.ticks()] == [72]


async def test_frames_that_come_before_kafka_is_there_are_kept(broker: FakeBroker) -> None:
    broker.down = "kafka:9092: connection refused"
    bench = Bench(broker)
    await bench.streamer.start()
    bench.streamer.obey(())
    bench.streamer.obey((entry(fresh=True),))
    bench.subscribe()
    times = [bench.frame(FULL), bench.frame({"31": "72.00"})]
    await bench.until(lambda: "connection refused" in bench.streamer.kafka_status().message)
    assert bench.streamer.kafka_status().reachable is False
    broker.down = ""
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 2)
    assert [value["event_time"] for value in broker.ticks()] == times
    assert broker.events("gap") == []
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    await bench.streamer.close()


async def test_more_than_is_kept_for_kafka_is_told_as_a_gap(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "QUEUE_RECORDS", 3)
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.begin(entry())
    bench.subscribe()
    broker.down = "kafka:9092: connection refused"
    broker.fail("fatal: out of order")
    await bench.until(lambda: bench.streamer.kafka_status().reachable is False)
    times = [bench.frame(FULL), *(bench.frame({"31": f"{price}.00"}) for price in range(72, 77))]
    broker.down = ""
    await bench.until(lambda: broker.events("gap"))
    assert [value["event_time"] for value in broker.ticks()] == [*times[:3], times[-1]]
    (gap,) = broker.events("gap")
    assert (gap["from_ms"], gap["to_ms"]) == (times[2], times[-1])
    await bench.streamer.close()


@pytest.mark.parametrize(
    ("topics", "create", "may_create", "message"),
    [
        (
            {"ticklast": 6, "l2-data": 12, "feed-events": 1},
            True,
            True,
            "topic ticklast has 6 partitions, the feed says 12",
        ),
        ({"l2-data": 12, "feed-events": 1}, False, True, "Kafka has no topic ticklast"),
        ({}, True, False, "can't be created: not authorized"),
    ],
)
async def test_topics_that_are_not_as_the_feed_says_are_refused_clearly(
    topics: dict[str, int], create: bool, may_create: bool, message: str
) -> None:
    broker = FakeBroker(topics=topics, may_create=may_create)
    streamer = Streamer(
        worker="energy-0",
        feed="energy",
        kafka=Kafka(bootstrap_servers="kafka:9092", create_topics=create),
        lines=100,
        on_change=lambda: None,
        may_write=lambda: True,
        connect=broker.connect,
    )
    await streamer.start()
    async with asyncio.timeout(20):
        while streamer.kafka_status().message.startswith("connecting"):  # noqa: ASYNC110 - as in Bench.until
            await asyncio.sleep(0.005)
    assert message in streamer.kafka_status().message
    assert not streamer.kafka_status().reachable
    await streamer.close()


async def test_missing_topics_are_created(broker: FakeBroker) -> None:
    broker.topics = {}
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    assert broker.created == ["ticklast", "l2-data", "feed-events"]
    await bench.streamer.close()


async def test_a_client_beyond_repair_is_replaced(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.acknowledges = False
    bench.frame(FULL)
    broker.fail("fatal: out of order")
    await bench.until(lambda: broker.connections == 2)
    broker.acknowledges = True
    bench.frame({"31": "72.00"})
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 2)
    assert broker.events("gap") == []


async def test_release_flushes_everything_and_says_so(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry(7), entry(8))
    bench.subscribe()
    broker.acknowledges = False
    bench.frame(FULL)
    releasing = asyncio.create_task(bench.streamer.release())
    await asyncio.sleep(0.02)
    assert (bench.state(7), bench.state(8)) != (ContractState.RELEASED, ContractState.RELEASED)
    broker.acknowledges = True
    broker.answer()
    await releasing
    assert [report.state for report in bench.streamer.reports()] == [ContractState.RELEASED] * 2
    assert bench.streamer.lines_used == 0
    bench.frame({"31": "80"})
    assert len(broker.ticks()) == 1


async def test_release_ends_in_time_without_kafka(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    broker.acknowledges = False
    bench.frame(FULL)
    begin = time.monotonic()
    await bench.streamer.release(0.2)
    assert time.monotonic() - begin < 5
    assert bench.state() is not ContractState.RELEASED


async def test_standby_subscribes_and_publishes_nothing(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(epoch=2, state=EntryState.STANDBY),))
    assert bench.streamer.subscriber.desired() == [7]
    bench.subscribe()
    at = bench.frame(FULL)
    await bench.warm()
    assert broker.ticks() == []
    bench.streamer.obey((entry(epoch=2, mark=Mark(event_time=at, seq=seq_of(1, 3))),))
    bench.frame({"31": "72.00"})
    assert [value["price"] for value in broker.ticks()] == [72.0]


async def test_delayed_data_is_not_live_and_the_change_is_told(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.subscribe()
    assert bench.streamer.market_data_live is None
    bench.frame(FULL)
    assert bench.streamer.market_data_live is True
    changes = bench.changes
    bench.frame({"31": "72.00", "6509": "D"})
    assert bench.streamer.market_data_live is False
    assert bench.changes > changes
    assert "delayed" in broker.ticks()[-1]["flags"]
    assert [event["detail"] for event in broker.events("market_data_type")] == ["RB to D"]


async def test_nearer_months_come_first(bench: Bench) -> None:
    far = Entry(conid=1, symbol="CLG7", root="CL", contract_month="202702", slot=0, epoch=1, state=EntryState.ACTIVE)
    near = Entry(conid=2, symbol="CLZ6", root="CL", contract_month="202612", slot=9, epoch=1, state=EntryState.ACTIVE)
    bench.streamer.obey((far, near))
    assert bench.streamer.subscriber.desired() == [2, 1]


async def test_ticks_do_not_call_for_a_status_each(bench: Bench) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is ContractState.PUBLISHING)
    await asyncio.sleep(0.05)
    before = bench.changes
    for cents in range(50):
        bench.frame({"31": f"72.{cents:02d}"})
    await asyncio.sleep(0.1)
    assert bench.changes == before


async def test_metrics_say_what_was_withheld_and_why(bench: Bench) -> None:
    await bench.begin(entry())
    bench.subscribe()
    bench.frame({"84": "1"})
    bench.frame(FULL, conid=99)
    samples = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in bench.streamer.collector.collect()
        for sample in family.samples
    }
    assert samples["ibfeed_ticks_withheld_total", "no_price"] == 1
    assert samples["ibfeed_frames_unassigned_total", None] == 1
