"""Whether Kafka's topics are what the feed says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ibfeed_api.feed import Topic, Topics


@dataclass(frozen=True, slots=True)
class Verdict:
    missing: tuple[Topic, ...]
    wrong: str  # empty if nothing is wrong


def judge(wanted: Topics, found: Mapping[str, int]) -> Verdict:
    """``found``: topic name to its number of partitions.

    A contract's partition is ``slot % partitions``. If workers disagreed on the number, a contract would change its
    partition as it moves, and its order would be lost: so a topic of another size is refused rather than adapted to.
    """
    topics = (wanted.ticklast, wanted.l2_data, wanted.feed_events)
    wrong = [
        f"topic {topic.name} has {found[topic.name]} partitions, the feed says {topic.partitions}: "
        "change kafka.topics in the IbFeed, or the topic"
        for topic in topics
        if found.get(topic.name, topic.partitions) != topic.partitions
    ]
    return Verdict(tuple(topic for topic in topics if topic.name not in found), "; ".join(wrong))
