"""What is wrong is told with what to do."""

from __future__ import annotations

from dataclasses import replace

from ibfeed.clickhouse import Layout, Observation, findings
from ibfeed.clickhouse.health import KafkaConsumer, Reach

LAYOUT = Layout("kafka:9092")
READS = ["market_tick", "order_book"]
WELL = Observation(
    consumers=[KafkaConsumer("market_tick_queue", 3), KafkaConsumer("order_book_queue", 3)],
    reach={"ticklast": Reach(10, 12), "l2-data": Reach(5, 5)},
)


def causes(seen: Observation) -> list[str]:
    return [one.cause for one in findings(LAYOUT, seen, READS)]


def test_nothing_is_wrong_with_a_database_that_reads() -> None:
    assert findings(LAYOUT, WELL, READS) == []
    assert WELL.lag == 2


def test_outstanding_changes_are_the_first_thing_to_do() -> None:
    (one,) = findings(LAYOUT, Observation(["latest_book: made"], reach=WELL.reach), READS)
    assert one.cause == "the database is not as it should be: latest_book: made"
    assert one.remedy == "run: ibfeed clickhouse apply"


def test_consumer_that_reads_nothing_is_told() -> None:
    assert causes(replace(WELL, consumers=[KafkaConsumer("market_tick_queue", 0)])) == [
        "market_tick_queue reads no partition",
        "order_book_queue reads no partition",
    ]


def test_last_exception_is_told_while_it_is_recent() -> None:
    failed = KafkaConsumer("market_tick_queue", 3, ((599.0, "old"), (2.0, "Broker: Unknown topic")))
    assert causes(replace(WELL, consumers=[failed, WELL.consumers[1]])) == ["market_tick_queue: Broker: Unknown topic"]
    passed = KafkaConsumer("market_tick_queue", 3, ((601.0, "Broker: Unknown topic"),))
    assert causes(replace(WELL, consumers=[passed, WELL.consumers[1]])) == []


def test_lag_is_told_when_it_is_large_or_not_known() -> None:
    assert causes(replace(WELL, reach={"ticklast": Reach(0, 10_001)})) == ["10001 records are not written yet"]
    unknown = replace(WELL, reach={}, reach_error="Kafka does not answer")
    assert unknown.lag is None
    assert causes(unknown) == ["the lag is not known: Kafka does not answer"]


def test_rejected_records_are_counted_and_shown() -> None:
    (one,) = findings(LAYOUT, replace(WELL, rejected=2, problems=["ticklast[0]@7: seq has no value"]), READS)
    assert one.cause == "2 records could not be stored: ticklast[0]@7: seq has no value"
    assert one.remedy == "see SELECT * FROM `ibfeed`.`rejected` ORDER BY inserted_time"
