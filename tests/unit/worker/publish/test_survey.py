"""What follows from what Kafka tells of topics, leaders and replicas."""

from __future__ import annotations

from ibfeed_api.feed import Kafka, Topic, Topics
from ibfeed_api.reasons import Reason
from ibfeed_worker.publish.survey import (
    NO_LEADER,
    Partition,
    Survey,
    TopicLimits,
    affected,
    batch_size,
    missing,
    topic_trouble,
    unanswered,
)

KAFKA = Kafka(
    bootstrap_servers="kafka:9092",
    topics=Topics(
        ticklast=Topic(name="ticks", partitions=2),
        l2_data=Topic(name="books", partitions=1),
        feed_events=Topic(name="events", partitions=1),
    ),
)
GOOD = Partition(leader=1, replicas=3, in_sync=3)
SHORT = Partition(leader=2, replicas=3, in_sync=1)
TWO = TopicLimits(largest_batch=1_048_588, least_in_sync=2)


def survey(*ticks: Partition, silent: frozenset[int] = frozenset(), **more: tuple[Partition, ...]) -> Survey:
    topics = {"ticks": ticks or (GOOD, GOOD), "books": (GOOD,), "events": (GOOD,)}
    return Survey(topics=topics | more, brokers={1: "kafka-1:9092", 2: "kafka-2:9092"}, silent=silent)


def reason(of: Survey, limits: dict[str, TopicLimits] | None = None, denied: frozenset[str] = frozenset()) -> str:
    trouble = topic_trouble(KAFKA, of, limits or {}, denied)
    return str(trouble.reason) if trouble else ""


def test_all_as_the_feed_says() -> None:
    assert reason(survey(), {"ticks": TWO}) == ""


def test_another_number_of_partitions() -> None:
    trouble = topic_trouble(KAFKA, survey(GOOD), {}, frozenset())
    assert trouble is not None and trouble.reason is Reason.KAFKA_TOPIC
    assert (
        "topic ticks has 1 partitions, the feed says 2: change kafka.topics in the IbFeed, or the topic" in trouble.text
    )


def test_a_topic_that_is_hidden_is_a_matter_of_rights() -> None:
    seen = Survey(topics={"books": (GOOD,), "events": (GOOD,)}, hidden=frozenset({"ticks"}))
    assert reason(seen) == "NotAuthorized"
    assert missing(KAFKA, seen) == ()


def test_a_topic_that_is_missing() -> None:
    seen = Survey(topics={"books": (GOOD,), "events": (GOOD,)})
    assert reason(seen) == "TopicMismatch"
    assert [topic.name for topic in missing(KAFKA, seen)] == ["ticks"]


def test_rights_count_before_replicas() -> None:
    assert reason(survey(SHORT, GOOD), {"ticks": TWO}, frozenset({"ticks"})) == "NotAuthorized"


def test_a_partition_without_leader() -> None:
    trouble = topic_trouble(KAFKA, survey(GOOD, Partition(NO_LEADER, 3, 0)), {}, frozenset())
    assert trouble is not None and trouble.reason is Reason.KAFKA_NO_LEADER
    assert "1 of 2 partitions of topic ticks have no leader" in trouble.text


def test_too_few_replicas_in_sync() -> None:
    trouble = topic_trouble(KAFKA, survey(GOOD, SHORT), {"ticks": TWO}, frozenset())
    assert trouble is not None and trouble.reason is Reason.KAFKA_REPLICAS
    assert "1 of 2 partitions of topic ticks have 1 of 3 replicas in sync" in trouble.text
    assert "its min.insync.replicas is 2: start the missing brokers, or lower it" in trouble.text


def test_kafka_asks_for_no_more_replicas_than_there_are() -> None:
    assert reason(survey(Partition(1, 1, 1), Partition(1, 1, 1)), {"ticks": TWO}) == ""


def test_silence_and_few_replicas_say_what_no_limit_does() -> None:
    trouble = unanswered("ticks", survey(GOOD, SHORT), {}, 3.0)
    assert trouble.reason is Reason.KAFKA_REPLICAS
    assert "probably less than min.insync.replicas" in trouble.text
    assert unanswered("ticks", survey(), {}, 3.0).reason is Reason.KAFKA_UNANSWERED
    assert unanswered("ticks", survey(GOOD, SHORT), {"ticks": TWO}, 3.0).reason is Reason.KAFKA_UNANSWERED
    assert unanswered("ticks", None, {}, 3.0).reason is Reason.KAFKA_UNANSWERED


def test_only_some_partitions_take_no_record() -> None:
    led = Partition(leader=2, replicas=1, in_sync=1)
    assert affected(survey(GOOD, led, silent=frozenset({2})), {}) == {("ticks", 1)}
    assert affected(survey(GOOD, SHORT), {"ticks": TWO}) == {("ticks", 1)}
    assert affected(survey(GOOD, Partition(NO_LEADER, 1, 0)), {}) == {("ticks", 1)}


def test_each_leader_is_asked_once() -> None:
    assert survey(GOOD, Partition(2, 1, 1)).leaders.keys() == {1, 2}


def test_the_smallest_topic_says_how_large_a_batch_may_be() -> None:
    assert batch_size(KAFKA, {"ticks": TWO, "books": TopicLimits(20_000, 1)}) == 20_000
    assert batch_size(KAFKA, {}) == KAFKA.batch_size
