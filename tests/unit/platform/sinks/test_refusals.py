from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from ibfeed_platform.sinks import refusals
from ibfeed_platform.sinks.progress import SinkError


@pytest.mark.parametrize(
    ("code", "what_to_do"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "create the topic"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "Read and Describe"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "the consumer group"),
    ],
)
def test_a_refusal_says_what_to_do(code: int, what_to_do: str) -> None:
    with pytest.raises(SinkError, match=what_to_do) as failure:
        refusals.check(KafkaError(code), "kafka:9092", "topic ticklast")
    assert "kafka:9092 refuses topic ticklast" in str(failure.value)


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE, KafkaError._AUTHENTICATION])
def test_an_error_that_may_pass_is_no_refusal(code: int) -> None:
    refusals.check(KafkaError(code), "kafka:9092", "topic ticklast")
    assert "tried again" in refusals.trouble_of(KafkaError(code), "kafka:9092")


def test_an_error_of_any_kind_has_a_text() -> None:
    assert refusals.text_of(KafkaException(KafkaError(KafkaError._TRANSPORT, "gone"))) == "gone"
    assert refusals.text_of(ValueError("no")) == "no"
