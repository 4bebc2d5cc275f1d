"""The two states of a contract: each event in each state, as docs/architecture/take-over.md draws them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import pytest

from ibfeed_api.feed import Topic
from ibfeed_api.records import SCHEMA_DEPTH, SCHEMA_TICK
from ibfeed_api.shard import ContractState, Mark
from ibfeed_worker.book import Book
from ibfeed_worker.publish import Deliveries, PartitionWriter
from ibfeed_worker.stream.contract import Contract
from ibfeed_worker.stream.contract_state import Publication, Subscription
from ibfeed_worker.stream.depth import Depth

from .bench import entry

_MARK: Final = Mark(event_time=1, seq=1)
_S_NS: Final = 10**9
_Event = Callable[[Contract], object]
State = TypeVar("State", Publication, Subscription)


def contract(former: Contract | None = None, *, epoch: int = 1) -> Contract:
    def writer(schema: str) -> PartitionWriter:
        return PartitionWriter(
            worker="energy-0",
            conid=7,
            symbol="CLZ6",
            slot=19,
            epoch=epoch,
            schema=schema,
            topic=Topic(name="topic", partitions=4),
            deliveries=Deliveries(),
        )

    return Contract(
        entry(epoch=epoch),
        writer=writer(SCHEMA_TICK),
        depth=Depth(Book(7, "CLZ6"), writer=writer(SCHEMA_DEPTH), count=0),
        former=former,
        count=0,
        located=False,
        interrupted="",
        own=None,
        fresh=False,
    )


# The events that lead to each state, from a new contract.
_PUBLICATION: Final[dict[Publication, tuple[_Event, ...]]] = {
    Publication.STANDBY: (),
    Publication.LOCATING: (Contract.locate,),
    Publication.OVERTAKEN: (Contract.locate, lambda c: c.overtaken(9)),
    Publication.LIVE: (Contract.go_on,),
    Publication.CLOSING: (Contract.locate, Contract.retire),
    Publication.DRAINING: (Contract.retire,),
    Publication.RELEASED: (Contract.retire, Contract.release_if_idle),
}
_SUBSCRIPTION: Final[dict[Subscription, tuple[_Event, ...]]] = {
    Subscription.NEW: (),
    Subscription.CONFIRMED: (lambda c: c.confirm(_S_NS),),
    Subscription.WARM: (lambda c: c.confirm(_S_NS), lambda c: c.overlap(_S_NS)),
    Subscription.SILENT: (lambda c: c.confirm(_S_NS), lambda c: c.fall_silent("silent")),
    Subscription.REFUSED: (lambda c: c.refused("no permission"),),
}


def led_to(events: tuple[_Event, ...]) -> Contract:
    found = contract()
    found.last_frame_ns = _S_NS
    for event in events:
        event(found)
    return found


def transitions(states: dict[State, tuple[_Event, ...]], event: _Event, read: Callable[[Contract], State]) -> object:
    """The state that the event leads to, from each state."""
    found = {}
    for state, events in states.items():
        one = led_to(events)
        assert read(one) is state
        event(one)
        found[state] = read(one)
    return found


# One row for each event: where it leads from each state; a state that is not named stays.
_PUBLICATION_TABLE: Final[tuple[tuple[str, _Event, dict[Publication, Publication]], ...]] = (
    (
        "retire",
        Contract.retire,
        {
            Publication.STANDBY: Publication.DRAINING,
            Publication.LOCATING: Publication.CLOSING,
            Publication.OVERTAKEN: Publication.DRAINING,
            Publication.LIVE: Publication.DRAINING,
        },
    ),
    ("stop locating", Contract.stop_locating, {Publication.CLOSING: Publication.DRAINING}),
    ("release if idle", Contract.release_if_idle, {Publication.DRAINING: Publication.RELEASED}),
    (
        "cut off",
        Contract.cut_off,
        {one: Publication.DRAINING for one in Publication if one is not Publication.RELEASED},
    ),
)
_SUBSCRIPTION_TABLE: Final[tuple[tuple[str, _Event, dict[Subscription, Subscription]], ...]] = (
    ("a frame", lambda c: c.confirm(_S_NS), dict.fromkeys(Subscription, Subscription.CONFIRMED)),
    ("the overlap is over", lambda c: c.overlap(_S_NS), {Subscription.CONFIRMED: Subscription.WARM}),
    ("the overlap of an earlier frame is over", lambda c: c.overlap(_S_NS - 1), {}),
    (
        "silence",
        lambda c: c.fall_silent("silent"),
        {
            Subscription.NEW: Subscription.SILENT,
            Subscription.CONFIRMED: Subscription.SILENT,
            Subscription.WARM: Subscription.SILENT,
        },
    ),
    ("an error", lambda c: c.refused("no permission"), dict.fromkeys(Subscription, Subscription.REFUSED)),
    (
        "the connection is lost",
        Contract.connection_lost,
        {Subscription.CONFIRMED: Subscription.NEW, Subscription.WARM: Subscription.NEW},
    ),
    (
        "subscribed again",
        lambda c: c.subscribed(2.0),
        {Subscription.CONFIRMED: Subscription.NEW, Subscription.WARM: Subscription.NEW},
    ),
)


@pytest.mark.parametrize(
    ("event", "leads"), [row[1:] for row in _PUBLICATION_TABLE], ids=[r[0] for r in _PUBLICATION_TABLE]
)
def test_publication(event: _Event, leads: dict[Publication, Publication]) -> None:
    assert transitions(_PUBLICATION, event, lambda c: c.publication) == {s: leads.get(s, s) for s in Publication}


@pytest.mark.parametrize(
    ("event", "leads"), [row[1:] for row in _SUBSCRIPTION_TABLE], ids=[r[0] for r in _SUBSCRIPTION_TABLE]
)
def test_subscription(event: _Event, leads: dict[Subscription, Subscription]) -> None:
    assert transitions(_SUBSCRIPTION, event, lambda c: c.subscription) == {s: leads.get(s, s) for s in Subscription}


@pytest.mark.parametrize(
    ("begins", "answer", "ends", "located"),
    [
        (Publication.LOCATING, Contract.go_on, Publication.LIVE, True),
        (Publication.CLOSING, Contract.go_on, Publication.DRAINING, True),
        (Publication.LOCATING, lambda c: c.overtaken(9), Publication.OVERTAKEN, False),
        (Publication.CLOSING, lambda c: c.overtaken(9), Publication.DRAINING, False),
    ],
)
def test_what_kafka_answers(begins: Publication, answer: _Event, ends: Publication, located: bool) -> None:
    one = led_to(_PUBLICATION[begins])
    answer(one)
    assert (one.publication, one.located) == (ends, located)


@pytest.mark.parametrize("state", Publication)
def test_only_a_live_contract_flows_and_what_retires_is_not_published_again(state: Publication) -> None:
    one = led_to(_PUBLICATION[state])
    assert one.flows is (state is Publication.LIVE)
    assert one.publishes is (state in (Publication.LOCATING, Publication.OVERTAKEN, Publication.LIVE))
    assert one.retires is (state in (Publication.CLOSING, Publication.DRAINING, Publication.RELEASED))
    assert not (one.publishes and one.retires)


@pytest.mark.parametrize("state", Publication)
def test_a_mark_is_reported_only_where_kafka_was_located(state: Publication) -> None:
    one = led_to(_PUBLICATION[state])
    one.learn(_MARK)
    assert (one.mark is not None) is (state is Publication.LIVE)
    one.cut_off()
    assert one.mark is None


def test_nothing_is_released_while_records_are_on_their_way() -> None:
    one = led_to(_PUBLICATION[Publication.LIVE])
    one.writer.in_flight = 1
    one.retire()
    assert not one.release_if_idle()
    one.writer.delivered(5, one.next_seq)
    assert one.release_if_idle()
    assert one.state is ContractState.RELEASED
    assert not one.release_if_idle(), "it is told once"


@pytest.mark.parametrize("state", Subscription)
def test_a_new_epoch_keeps_the_subscription_and_begins_on_standby(state: Subscription) -> None:
    former = led_to(_SUBSCRIPTION[state])
    former.go_on()
    one = contract(former, epoch=2)
    assert (one.subscription, one.publication) == (state, Publication.STANDBY)
    assert one.held is former.held
    assert one.next_seq > former.next_seq


def test_a_gap_is_suspected_only_of_what_ib_sent_and_told_once() -> None:
    one = led_to(_SUBSCRIPTION[Subscription.NEW])
    one.suspect("lost")
    assert not one.interruption()
    one.confirm(_S_NS)
    one.suspect("lost")
    one.suspect("lost again")
    assert one.interruption() == "lost"
    assert not one.interruption()
