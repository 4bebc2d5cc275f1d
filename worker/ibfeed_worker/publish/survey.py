"""Kafka's account of the feed's topics and of the brokers that lead them, and what follows from it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ibfeed_api.feed import Kafka, Topic
from ibfeed_api.reasons import Reason
from ibfeed_worker.publish.trouble import Trouble

NO_LEADER: Final = -1


@dataclass(frozen=True, slots=True)
class Partition:
    """The state of one partition."""

    leader: int  # a broker's id, or NO_LEADER
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class TopicLimits:
    """The limits of a topic, where Kafka lets us know."""

    largest_batch: int  # bytes (max.message.bytes), of a batch as it is sent, compressed
    least_in_sync: int  # min.insync.replicas


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The state of the feed's topics and their brokers at one look.

    Args:
        topics: the feed's topics that Kafka has, with their partitions by number.
        hidden: topics that Kafka may not tell us of.
        brokers: id to the address that clients are told.
        silent: leaders that did not answer us.
    """

    topics: Mapping[str, tuple[Partition, ...]]
    hidden: frozenset[str] = frozenset()
    brokers: Mapping[int, str] = field(default_factory=dict)
    silent: frozenset[int] = frozenset()

    @property
    def leaders(self) -> dict[int, tuple[str, int]]:
        """Each leader, with one partition that it leads."""
        return {
            partition.leader: (name, number)
            for name, partitions in self.topics.items()
            for number, partition in enumerate(partitions)
            if partition.leader != NO_LEADER
        }


def missing(kafka: Kafka, survey: Survey) -> tuple[Topic, ...]:
    """Return the topics that are not there."""
    known = survey.topics.keys() | survey.hidden
    return tuple(topic for topic in kafka.topics.every if topic.name not in known)


def topic_trouble(
    kafka: Kafka, survey: Survey, limits: Mapping[str, TopicLimits], denied: frozenset[str]
) -> Trouble | None:
    """Return what is wrong with topics and their brokers, except for silent brokers, which need a closer look.

    A contract's partition is ``slot % partitions``. If workers disagreed on the number, a contract would change its
    partition as it moves, and its order would be lost. So a topic of another size is refused rather than adapted to.

    ``denied``: topics that Kafka says we may not write to.
    """
    wrong = [
        f"topic {topic.name} has {len(found)} partitions, the feed says {topic.partitions}: "
        "change kafka.topics in the IbFeed, or the topic"
        for topic in kafka.topics.every
        if (found := survey.topics.get(topic.name)) is not None and len(found) != topic.partitions
    ]
    if wrong:
        return Trouble(Reason.KAFKA_TOPIC, "; ".join(wrong))
    if denied or survey.hidden:
        return rights(denied | survey.hidden)
    if lacking := missing(kafka, survey):
        names = ", ".join(topic.name for topic in lacking)
        return Trouble(
            Reason.KAFKA_TOPIC, f"Kafka has no topic {names}: create it, or set kafka.createTopics so that we do"
        )
    for name, partitions in survey.topics.items():
        if (count := sum(partition.leader == NO_LEADER for partition in partitions)) > 0:
            return Trouble(
                Reason.KAFKA_NO_LEADER,
                f"{count} of {len(partitions)} partitions of topic {name} have no leader: start their brokers",
            )
    return _in_sync(survey, limits)


def rights(topics: frozenset[str]) -> Trouble:
    """Return the trouble that we may not write to these topics."""
    names = ", ".join(sorted(topics))
    return Trouble(
        Reason.KAFKA_RIGHTS,
        f"Kafka does not let us write to {names}: allow our user Write and Describe on each of the feed's topics, and"
        " Read on that of the ticks",
    )


def _in_sync(survey: Survey, limits: Mapping[str, TopicLimits]) -> Trouble | None:
    for name, partitions in survey.topics.items():
        if (known := limits.get(name)) is None:
            continue
        # Kafka never asks for more replicas than a partition has.
        short = [p for p in partitions if p.in_sync < min(known.least_in_sync, p.replicas)]
        if short:
            return too_few_in_sync(name, len(short), len(partitions), short[0], known.least_in_sync)
    return None


def unanswered(topic: str, survey: Survey | None, limits: Mapping[str, TopicLimits], waiting_s: float) -> Trouble:
    """Return the trouble that records of ``topic`` wait for longer than they should, though its leaders answer."""
    partitions = survey.topics.get(topic, ()) if survey is not None else ()
    short = [partition for partition in partitions if partition.in_sync < partition.replicas]
    known = limits.get(topic)
    if short and known is None:
        worst = min(short, key=lambda partition: partition.in_sync)
        return Trouble(
            Reason.KAFKA_REPLICAS,
            f"records to topic {topic} are not acknowledged: {len(short)} of its {len(partitions)} partitions have"
            f" {worst.in_sync} of {worst.replicas} replicas in sync, which is probably less than min.insync.replicas:"
            " start the missing brokers, or lower it",
        )
    return Trouble(
        Reason.KAFKA_UNANSWERED,
        f"records to topic {topic} wait for longer than {waiting_s:g} s although its brokers answer: look at their logs"
        " and their load",
    )


def too_few_in_sync(topic: str, short: int, of: int, worst: Partition, wanted: int) -> Trouble:
    return Trouble(
        Reason.KAFKA_REPLICAS,
        f"{short} of {of} partitions of topic {topic} have {worst.in_sync} of {worst.replicas} replicas in sync, and"
        f" its min.insync.replicas is {wanted}: start the missing brokers, or lower it",
    )


def affected(survey: Survey, limits: Mapping[str, TopicLimits]) -> frozenset[tuple[str, int]]:
    """Return topic and number of each partition that cannot take a record now."""
    return frozenset(
        (name, number)
        for name, partitions in survey.topics.items()
        for number, partition in enumerate(partitions)
        if partition.leader == NO_LEADER
        or partition.leader in survey.silent
        or partition.in_sync < min(limits[name].least_in_sync if name in limits else 0, partition.replicas)
    )


def batch_size(kafka: Kafka, limits: Mapping[str, TopicLimits]) -> int:
    """Return the largest batch that every topic takes, as far as is known; never more than the feed asks for."""
    return max(1, min([kafka.batch_size, *(known.largest_batch for known in limits.values())]))


def led_by(survey: Survey) -> Counter[int]:
    """Return how many partitions of ours each broker leads."""
    return Counter(p.leader for partitions in survey.topics.values() for p in partitions if p.leader != NO_LEADER)
