"""The feeder's order books without a network: ladder rows in by hand, records out at Kafka's edge."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError

from ibfeed_api.feed import Kafka
from ibfeed_api.records import epoch_of, seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark
from ibfeed_worker.publish import Tail
from ibfeed_worker.stream import Streamer
from ibfeed_worker.stream.frame import decode
from ibfeed_worker.stream.ladder import Target
from support import entries
from support.book import Reader
from support.fake_broker import FakeBroker, Produced
from unit.worker.stream.bench import begin

ES, NQ = 7, 8
LADDER = [
    {"row": 0, "focus": 0, "price": "101.50", "ask": "1,300"},
    {"row": 1, "focus": 1, "price": "3 @ 101.25", "bid": "12"},
]


def entry(
    conid: int = ES, *, epoch: int = 1, state: EntryState = EntryState.ACTIVE, depth: bool = True, month: str = "202612"
) -> Entry:
    facts: dict[str, Any] = {"symbol": "ESZ6", "exchange": "CME", "contract_month": month, "slot": conid + 12}
    return entries.entry(conid, root="ES", epoch=epoch, state=state, depth=depth, **facts)


def level(row: int, price: str, **sizes: str) -> dict[str, Any]:
    return {"row": row, "focus": 0, "price": price, **sizes}


class Bench:
    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker
        self.streamer = Streamer(
            worker="equity-0",
            feed="equity",
            kafka=Kafka(bootstrap_servers="kafka:9092"),
            lines=100,
            on_change=lambda: None,
            may_write=lambda: True,
            connect=broker.connect,
        )

    def rows(self, *rows: dict[str, Any], conid: int = ES, received_ns: int | None = None, **more: Any) -> bool:
        text = json.dumps({"topic": f"sbd+DU123+{conid}+CME", "data": rows, **more})
        return self.streamer.subscriber.on_sbd(decode(text.encode()), received_ns or time.time_ns())

    def quote(self, received_s: float, conid: int = ES) -> None:
        text = json.dumps({"topic": f"smd+{conid}", "conid": conid, "_updated": int(received_s * 1000), "88": "5"})
        self.streamer.subscriber.on_smd(decode(text.encode()), int(received_s * 1e9))

    def state(self, conid: int = ES) -> ContractState | None:
        return next((report.state for report in self.streamer.reports() if report.conid == conid), None)

    def metric(self, name: str) -> float:
        samples = (sample for family in self.streamer.collector.collect() for sample in family.samples)
        return next(sample.value for sample in samples if sample.name == name)

    def produced(self) -> list[Produced]:
        return [record for record in self.broker.produced if record.topic == "l2-data"]

    def books(self, conid: int = ES) -> list[dict[str, Any]]:
        return [record.value for record in self.produced() if record.value["conid"] == conid]

    def kinds(self, conid: int = ES) -> list[str]:
        return [value["kind"] for value in self.books(conid)]

    def reader(self, conid: int = ES) -> Reader:
        reader = Reader()
        for value in self.books(conid):
            reader.take(json.loads(json.dumps(value), parse_float=Decimal))
        return reader

    async def begin(self, *entries: Entry) -> None:
        await begin(self.streamer, *entries)

    async def until(self, ask: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not ask():  # noqa: ASYNC110 - what a test waits for has no event of its own
                await asyncio.sleep(0.005)


@pytest.fixture
async def bench(broker: FakeBroker) -> AsyncIterator[Bench]:
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    bench.streamer.obey(())
    yield bench
    broker.answer()
    await bench.streamer.close()


async def test_a_book_goes_out_as_clear_snapshot_and_deltas(bench: Bench) -> None:
    await bench.begin(entry(epoch=4))
    bench.streamer.subscriber.on_ladder()
    assert bench.rows(*LADDER)
    bench.rows(level(1, "101.25", bid="11"))
    clear, snapshot, delta = bench.books()
    assert (clear["kind"], snapshot["kind"], delta["kind"]) == ("clear", "snapshot", "delta")
    assert (snapshot["bids"], snapshot["asks"]) == ([[101.25, 12]], [[101.5, 1300]])
    assert (delta["bids"], delta["asks"]) == ([[101.25, 11]], [])
    assert [value["seq"] for value in bench.books()] == [seq_of(4, count) for count in (1, 2, 3)]
    record = bench.produced()[1]
    assert (record.key, record.partition) == ("7", (ES + 12) % 12)
    assert record.headers == {"epoch": "4", "worker": "equity-0", "schema": "l2-data/2"}
    await bench.until(lambda: bench.metric("ibfeed_books_acknowledged_total") == 3)
    assert bench.metric("ibfeed_ticks_acknowledged_total") == 0


async def test_time_is_the_frames_if_it_has_one_else_that_of_its_arrival(bench: Bench) -> None:
    now = time.time_ns() // 1_000_000 + 60_000
    await bench.begin(entry())
    bench.rows(*LADDER, received_ns=now * 1_000_000)
    bench.rows(level(1, "101.25", bid="11"), received_ns=(now + 500) * 1_000_000, _updated=now + 400)
    bench.rows(level(1, "101.25", bid="10"), received_ns=(now + 900) * 1_000_000, _updated=now + 10**9)
    assert [value["event_time"] - now for value in bench.books()[1:]] == [0, 400, 900]


async def test_one_ladder_for_the_nearest_month_that_is_active(bench: Bench) -> None:
    streamer = bench.streamer
    streamer.obey((entry(ES, month="202703"), entry(NQ, month="202612"), entry(9, depth=False, month="202601")))
    assert streamer.subscriber.desired_ladder() == Target(NQ, "CME")
    streamer.obey((entry(ES, month="202703"), entry(NQ, month="202612", state=EntryState.RETIRING)))
    assert streamer.subscriber.desired_ladder() == Target(ES, "CME")
    streamer.obey((entry(ES, epoch=2, state=EntryState.STANDBY),))
    assert streamer.subscriber.desired_ladder() is None


async def test_a_contract_without_depth_has_no_book(bench: Bench) -> None:
    await bench.begin(entry(depth=False))
    bench.rows(*LADDER)
    assert bench.books() == []


async def test_a_lost_connection_clears_the_book_and_the_next_one_begins_with_a_snapshot(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    bench.streamer.subscriber.on_ladder()  # gone, and asked for again
    bench.streamer.subscriber.on_ladder()
    bench.rows(level(0, "102.00", ask="4"))
    assert bench.kinds() == ["clear", "snapshot", "clear", "snapshot"]
    reader = bench.reader()
    assert reader.book is not None
    assert reader.book.bids == {}
    assert reader.book.asks == {Decimal("102.00"): Decimal(4)}


async def test_depth_taken_away_clears_the_book_and_given_back_begins_anew(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    bench.streamer.obey((entry(depth=False),))
    assert bench.streamer.subscriber.desired_ladder() is None
    bench.rows(level(1, "101.25", bid="10"))
    assert bench.kinds() == ["clear", "snapshot", "clear"]
    bench.streamer.obey((entry(),))
    assert bench.kinds()[3:] == ["snapshot"]
    assert bench.books()[-1]["bids"] == [[101.25, 10]]
    bench.reader()


async def test_a_retiring_contract_is_released_only_when_kafka_has_the_end_of_its_book(
    bench: Bench, broker: FakeBroker
) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    await bench.until(lambda: bench.metric("ibfeed_books_acknowledged_total") == 2)
    broker.acknowledges = False
    bench.streamer.obey((entry(state=EntryState.RETIRING),))
    assert bench.kinds()[-1] == "clear"
    assert bench.state() is not ContractState.RELEASED
    broker.answer()
    await bench.until(lambda: bench.state() is ContractState.RELEASED)
    bench.rows(*LADDER)
    assert bench.kinds()[-1] == "clear"


async def test_release_on_the_way_out_clears_the_book_first(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    await bench.streamer.release(2.0)
    assert bench.kinds() == ["clear", "snapshot", "clear"]
    assert bench.state() is ContractState.RELEASED
    assert bench.streamer.subscriber.desired_ladder() is None


async def test_what_the_operator_takes_away_is_somebody_elses_to_clear(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    bench.streamer.obey(())
    bench.rows(*LADDER)
    assert bench.kinds() == ["clear", "snapshot"]


@pytest.mark.parametrize("warm", [False, True])
async def test_a_dead_workers_book_is_cleared_by_its_heir_even_without_a_ladder(bench: Bench, warm: bool) -> None:
    await bench.begin(entry(NQ))
    if warm:
        bench.streamer.obey((entry(NQ), entry(ES, epoch=3, state=EntryState.STANDBY, depth=False)))
        assert bench.books() == []
    bench.streamer.obey((entry(NQ), entry(ES, epoch=3, depth=False)))
    await bench.until(lambda: bench.books())
    (clear,) = bench.books()
    assert (clear["kind"], clear["flags"], epoch_of(clear["seq"])) == ("clear", [], 3)
    bench.streamer.obey((entry(NQ), entry(ES, epoch=3, depth=False)))
    assert bench.kinds() == ["clear"]
    bench.streamer.obey((entry(ES, epoch=3),))  # the ladder is free now
    bench.rows(*LADDER)
    assert bench.kinds()[-1] == "snapshot"
    bench.reader()


async def test_a_released_contracts_book_needs_no_second_end(bench: Bench) -> None:
    mark = Mark(event_time=1_790_000_000_000, seq=seq_of(2, 40))
    bench.streamer.obey((msgspec.structs.replace(entry(ES, epoch=3, depth=False), mark=mark),))
    bench.streamer.obey(
        tuple(msgspec.structs.replace(entry(conid, epoch=2, depth=False), fresh=True) for conid in (NQ, 9))
    )
    await asyncio.sleep(0.1)
    assert bench.produced() == []


@pytest.mark.parametrize(("depth", "kind"), [(True, "snapshot"), (False, "clear")])
async def test_a_new_epoch_at_the_same_worker_speaks_for_itself(bench: Bench, depth: bool, kind: str) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    bench.streamer.obey((entry(epoch=2, depth=depth),))
    assert bench.kinds()[-1] == kind
    assert epoch_of(bench.books()[-1]["seq"]) == 2
    bench.reader()


async def test_a_new_process_never_reuses_a_number_of_its_epoch(broker: FakeBroker) -> None:
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    epoch = int(time.time()) - 60
    bench.streamer.obey((entry(epoch=epoch),))
    await bench.until(bench.books)
    assert epoch_of(bench.books()[0]["seq"]) == epoch
    assert bench.books()[0]["seq"] > seq_of(epoch, 60 * 15)
    await bench.streamer.close()


async def test_while_kafka_does_not_keep_up_deltas_give_way_to_a_snapshot(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    await bench.until(lambda: not broker.open)
    broker.acknowledges, broker.room = False, 2
    for size in range(1, 11):
        bench.rows(level(1, "101.25", bid=str(size)))
    assert bench.kinds() == ["clear", "snapshot", "delta", "delta"]
    assert bench.metric("ibfeed_books_conflated_total") == 8
    broker.acknowledges, broker.room = True, 10**6
    broker.answer()
    await bench.until(lambda: len(bench.books()) == 5)
    bench.rows(level(1, "101.25", bid="99"))
    assert bench.kinds()[4:] == ["snapshot", "delta"]
    reader = bench.reader()
    assert reader.book is not None
    assert reader.book.bids == {Decimal("101.25"): 99}
    assert broker.events("gap") == []


async def test_before_kafka_is_there_only_the_latest_book_waits(broker: FakeBroker) -> None:
    broker.down = "kafka:9092: connection refused"
    bench = Bench(broker)
    await bench.streamer.start()
    bench.streamer.obey(())
    bench.streamer.obey((entry(),))
    bench.rows(*LADDER)
    bench.rows(level(1, "101.25", bid="5"))
    await bench.until(lambda: "connection refused" in bench.streamer.kafka_status().message)
    broker.down = ""
    await bench.until(lambda: bench.books())
    assert bench.kinds() == ["snapshot"]
    assert bench.books()[0]["bids"] == [[101.25, 5]]
    await bench.streamer.close()


async def test_after_a_refused_record_comes_a_snapshot(bench: Bench, broker: FakeBroker) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    await bench.until(lambda: bench.metric("ibfeed_books_acknowledged_total") == 2)
    broker.acknowledges = False
    bench.rows(level(1, "101.25", bid="5"))
    broker.answer("message too large", number=KafkaError.MSG_SIZE_TOO_LARGE)
    broker.acknowledges = True
    bench.rows(level(1, "101.25", bid="6"))
    await bench.until(lambda: len(bench.books()) == 4)
    bench.rows(level(1, "101.25", bid="7"))
    assert bench.kinds()[2:4] == ["delta", "snapshot"]
    reader = bench.reader()
    assert reader.book is not None
    assert reader.book.bids == {Decimal("101.25"): 7}
    assert broker.events("gap") == []


async def test_a_ladder_that_is_silent_while_the_quote_moves_is_cleared_as_stale(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(*LADDER)
    now = time.time()
    for second in range(31):
        assert bench.kinds()[-1] == "snapshot"
        bench.quote(now + second)
    assert (bench.kinds()[-1], bench.books()[-1]["flags"]) == ("clear", ["stale"])
    assert bench.metric("ibfeed_ladders_dead_total") == 1
    bench.rows(*LADDER)
    assert bench.kinds()[-1] == "snapshot"


async def test_crossed_books_and_unreadable_rows_are_flagged_and_counted(bench: Bench) -> None:
    await bench.begin(entry())
    bench.rows(level(0, "101.00", ask="1"), level(1, "101.25", bid="2"), level(2, "n/a", bid="2"), {"row": None})
    assert bench.books()[-1]["flags"] == ["crossed", "incomplete"]
    assert bench.metric("ibfeed_books_crossed_total") == 1
    assert bench.metric("ibfeed_ladder_rows_unreadable_total") == 2


async def test_rows_of_no_contract_of_ours_are_counted(bench: Bench) -> None:
    assert not bench.rows(*LADDER, conid=99)
    assert bench.metric("ibfeed_frames_unassigned_total") == 1


async def test_no_book_goes_out_before_kafka_was_asked_for_the_contract(bench: Bench, broker: FakeBroker) -> None:
    broker.tail = Tail(None, epoch=9)
    bench.streamer.obey((msgspec.structs.replace(entry(epoch=9), fresh=True),))
    bench.rows(*LADDER)
    await bench.until(lambda: bench.streamer.reports()[0].kafka_epoch)
    assert bench.books() == []
    bench.streamer.obey((msgspec.structs.replace(entry(epoch=10), fresh=True),))
    await bench.until(bench.books)
    assert [(value["kind"], epoch_of(value["seq"])) for value in bench.books()] == [("snapshot", 10)]


async def test_a_books_seq_grows_over_an_epoch_of_very_many_records(bench: Bench) -> None:
    await bench.begin(entry(epoch=5))
    bench.streamer._contracts[ES].depth._count = 3 * 2**20
    bench.rows(*LADDER)
    bench.streamer.obey((entry(epoch=6),))
    bench.rows(level(1, "101.25", bid="11"))
    numbers = [value["seq"] for value in bench.books()]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 4
