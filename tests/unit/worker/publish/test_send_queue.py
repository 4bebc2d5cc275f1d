"""What the outbox tells of losses, whatever the order in which it hears of them."""

from __future__ import annotations

from ibfeed_api.feed import Topic
from ibfeed_worker.publish import Deliveries, PartitionWriter


def writer() -> PartitionWriter:
    return PartitionWriter(
        worker="energy-0",
        conid=7,
        symbol="CLZ6",
        slot=0,
        epoch=1,
        schema="ticklast/1",
        topic=Topic(name="ticklast"),
        deliveries=Deliveries(),
    )


def test_refusals_in_the_wrong_order_leave_one_gap_around_all() -> None:
    """The third record arrived, and the client library tells of the second before it tells of the first."""
    of = writer()
    of.in_flight = 4
    of.delivered(3000, 3)
    of.failed(2, "not authorized", after=1000)
    of.failed(1, "not authorized", after=500)
    closed = of.delivered(4000, 4)
    assert closed is not None
    assert (closed.gap.after, closed.until, closed.gap.records) == (500, 4000, 2)


def test_what_is_refused_after_later_ones_gave_way_is_in_the_gap() -> None:
    of = writer()
    of.in_flight = 2
    of.sent = 2000

    class Record:
        seq = 3

    of.wait(Record())  # type: ignore[arg-type]
    of.wait(Record())  # type: ignore[arg-type]
    of.failed(1, "topic is gone", after=500)
    of.failed(2, "topic is gone", after=1000)
    of.in_flight += 1
    closed = of.delivered(5000, 5)
    assert closed is not None
    assert (closed.gap.after, closed.until, closed.gap.records) == (500, 5000, 3)


def test_answers_are_counted_with_what_is_on_its_way() -> None:
    of = writer()
    of.in_flight = 2
    of.delivered(1000, 1)
    of.failed(2, "refused", after=1000)
    assert (of.answered, of.in_flight, of.idle) == (2, 0, True)
