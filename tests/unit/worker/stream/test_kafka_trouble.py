"""The feeder while Kafka does not do as it should: what is said, what is let go, and what goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from ibfeed_api.reasons import Reason
from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState, EntryState, Mark
from ibfeed_worker.publish import KafkaCredentials, SecretsError, Tail, inspection, progress, publisher
from ibfeed_worker.publish.admin import NoMetadataError
from ibfeed_worker.publish.survey import Partition, Survey
from ibfeed_worker.publish.trouble import Trouble
from support.fake_broker import FakeBroker
from unit.worker.stream.bench import FULL, Bench, entry

RETIRING, STANDBY = EntryState.RETIRING, EntryState.STANDBY
PUBLISHING, SUBSCRIBING, RELEASED = ContractState.PUBLISHING, ContractState.SUBSCRIBING, ContractState.RELEASED
ANSWER_S = 0.2


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (inspection, progress, publisher):
        monkeypatch.setattr(module, "KAFKA_ANSWER_S", ANSWER_S)
    monkeypatch.setattr(publisher, "_SWEEP_S", 0.05)
    monkeypatch.setattr(publisher, "CHECK_S", 0.2)
    monkeypatch.setattr(publisher, "_SHORTEST_PAUSE_S", 0.05)


def alive(broker: FakeBroker) -> int:
    return sum(record.value["kind"] == "alive" for record in broker.produced if record.topic == "feed-events")


async def test_before_anything_was_tried_nothing_is_known(broker: FakeBroker) -> None:
    bench = Bench(broker)
    assert bench.streamer.kafka_status().reachable is None
    broker.acknowledges = False
    await bench.streamer.start()
    await asyncio.sleep(ANSWER_S / 2)
    assert bench.streamer.kafka_status().reachable is None
    await bench.streamer.close()


async def test_metadata_alone_prove_nothing(broker: FakeBroker) -> None:
    broker.acknowledges = False
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable is not None)
    status = bench.streamer.kafka_status()
    assert (status.reachable, status.reason) == (False, "NotAcknowledged")
    assert "feed-events" in status.message
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    await bench.streamer.close()


async def test_a_worker_with_nothing_to_publish_proves_itself_once(bench: Bench, broker: FakeBroker) -> None:
    assert alive(broker) == 1
    await asyncio.sleep(0.6)  # three looks
    assert alive(broker) == 1
    assert bench.metric("ibfeed_kafka_probes_total") == 1


async def test_without_acknowledgements_it_proves_itself_again(
    bench: Bench, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_PROBE_S", 0.1)
    await bench.until(lambda: alive(broker) > 2)
    bench.streamer.obey((entry(),))
    bench.subscribe()
    await bench.until(lambda: not broker.open)
    before = alive(broker)
    for cents in range(60):  # who publishes needs no probe
        bench.frame(FULL | {"31": f"72.{cents:02d}"})
        await asyncio.sleep(0.01)
    assert alive(broker) <= before + 1


async def test_a_record_that_waits_for_too_long_is_told(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(7), entry(8)))
    bench.subscribe()
    bench.frame(FULL, conid=7)
    bench.frame(FULL, conid=8)
    await bench.until(lambda: bench.state(7) is PUBLISHING and bench.state(8) is PUBLISHING)
    broker.acknowledges = False
    bench.frame({"31": "72.00"}, conid=7)
    await bench.until(lambda: bench.streamer.kafka_status().reachable is False)
    status = bench.streamer.kafka_status()
    assert status.reason == "NotAcknowledged"
    assert (bench.state(7), bench.state(8)) == (SUBSCRIBING, PUBLISHING)  # Kafka has all that there is of the other
    assert bench.streamer.reports()[0].message == "Kafka does not acknowledge its records"
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    assert (bench.state(7), bench.state(8)) == (PUBLISHING, PUBLISHING)
    assert broker.connections == 1  # nothing was given up


async def test_while_kafka_tells_nothing_no_contract_is_publishing(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is PUBLISHING)
    broker.down = "kafka:9092: connection refused"
    await bench.until(lambda: bench.state() is SUBSCRIBING)
    broker.down = ""
    await bench.until(lambda: bench.state() is PUBLISHING)


async def test_a_silent_broker_stops_only_what_it_leads(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(7), entry(8)))
    bench.subscribe()
    for conid in (7, 8):
        bench.frame(FULL, conid=conid)
    await bench.until(lambda: bench.state(7) is PUBLISHING and bench.state(8) is PUBLISHING)
    ours = (7 + 12) % 12

    def survey(topics: Sequence[str]) -> Survey:
        there, away = Partition(leader=1, replicas=1, in_sync=1), Partition(leader=2, replicas=1, in_sync=1)
        partitions = {name: [there] * broker.topics[name] for name in topics}
        partitions["ticklast"][ours] = away
        return Survey(
            topics={name: tuple(found) for name, found in partitions.items()},
            brokers={1: "127.0.0.1:1", 2: "127.0.0.1:1"},
            silent=frozenset({2}),
        )

    broker.survey = survey  # type: ignore[method-assign]
    await bench.until(lambda: bench.streamer.kafka_status().reason == "AdvertisedAddressUnreachable")
    assert "broker 2" in bench.streamer.kafka_status().message
    assert (bench.state(7), bench.state(8)) == (SUBSCRIBING, PUBLISHING)


async def test_what_goes_elsewhere_is_let_go_without_kafka(bench: Bench, broker: FakeBroker) -> None:
    """The heir looks into Kafka: how far this one came nobody here can say."""
    bench.streamer.obey((entry(7), entry(8)))
    bench.subscribe()
    for conid in (7, 8):
        bench.frame(FULL, conid=conid)
    await bench.until(lambda: bench.state(7) is PUBLISHING and bench.state(8) is PUBLISHING)
    broker.acknowledges = False
    for conid in (7, 8):
        bench.frame({"31": "72.00"}, conid=conid)
    await bench.until(lambda: bench.streamer.kafka_status().reachable is False)
    assert broker.abandoned == 0
    broker.tail = Tail(Mark(event_time=bench.now - 1500, seq=seq_of(1, 1)))
    for _ in range(2):  # again before Kafka's client has given the records back: nothing is given up twice
        bench.streamer.obey((entry(7, state=RETIRING), entry(8)))
    await bench.until(lambda: bench.state(7) is RELEASED)
    report = bench.streamer.reports()[0]
    assert (report.event_time, report.seq) == (None, None)
    assert broker.abandoned  # and once more when the next producer takes its place
    # What was on its way of the other contract goes on by the next producer.
    await bench.until(lambda: broker.connections == 2)
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.state(8) is PUBLISHING and bench.streamer.kafka_status().reachable)
    sent = [(value["conid"], value["price"]) for value in broker.ticks()]
    assert sent.count((8, 72)) == 2 and sent.count((7, 72)) == 1
    assert bench.metric("ibfeed_kafka_given_up_total") == 1


async def test_what_a_silent_broker_may_have_waits_until_it_answers(bench: Bench, broker: FakeBroker) -> None:
    """The producer is replaced while one of two brokers is away: what its partitions hold cannot be found out now."""
    bench.streamer.obey((entry(7), entry(8)))
    bench.subscribe()
    first = [bench.frame(FULL, conid=conid) for conid in (7, 8)]
    await bench.until(lambda: bench.state(7) is PUBLISHING and bench.state(8) is PUBLISHING)
    whole = broker.survey
    there, away = Partition(leader=1, replicas=1, in_sync=1), Partition(leader=2, replicas=1, in_sync=1)

    def half(topics: Sequence[str]) -> Survey:
        found = dict(whole(topics).topics)
        found["ticklast"] = tuple(away if number == (7 + 12) % 12 else there for number in range(12))
        return Survey(topics=found, brokers={1: "127.0.0.1:1", 2: "127.0.0.1:1"}, silent=frozenset({2}))

    broker.survey, broker.acknowledges = half, False  # type: ignore[method-assign]
    for conid in (7, 8):
        bench.frame({"31": "72.00"}, conid=conid)
    broker.tail = Tail(Mark(event_time=first[0], seq=seq_of(1, 1)))
    broker.fail("fatal: out of order")
    await bench.until(lambda: broker.connections == 2)
    broker.acknowledges = True
    broker.answer()
    bench.frame({"31": "73.00"}, conid=7)
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 3)
    assert bench.metric("ibfeed_kafka_kept") == 2
    broker.survey = whole  # type: ignore[method-assign]
    await bench.until(lambda: bench.metric("ibfeed_kafka_kept") == 0)
    await bench.until(lambda: bench.state(7) is PUBLISHING)
    assert [value["price"] for value in broker.ticks() if value["conid"] == 7] == [71.9, 72, 72, 73]
    assert broker.events("gap") == []


async def test_what_goes_elsewhere_in_time_is_flushed(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is PUBLISHING)
    broker.acknowledges = False
    last = bench.frame({"31": "72.00"})
    bench.streamer.obey((entry(state=RETIRING),))
    await asyncio.sleep(ANSWER_S / 2)
    assert bench.state() is not RELEASED
    broker.acknowledges = True
    broker.answer()
    await bench.until(lambda: bench.state() is RELEASED)
    assert bench.streamer.reports()[0].event_time == last
    assert broker.abandoned == 0


async def test_what_retires_before_kafka_falls_silent_is_let_go_too(bench: Bench, broker: FakeBroker) -> None:
    bench.streamer.obey((entry(),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is PUBLISHING)
    broker.acknowledges = False
    bench.frame({"31": "72.00"})
    bench.streamer.obey((entry(state=RETIRING),))
    await bench.until(lambda: bench.state() is RELEASED)
    assert bench.streamer.reports()[0].event_time is None


async def test_a_contract_that_waits_for_kafkas_tail_is_let_go_too(broker: FakeBroker) -> None:
    broker.down = "kafka:9092: connection refused"
    bench = Bench(broker)
    await bench.streamer.start()
    bench.streamer.obey(())
    bench.streamer.obey((entry(epoch=2),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.streamer.kafka_status().reachable is False)
    bench.streamer.obey((entry(epoch=2, state=RETIRING),))
    await bench.until(lambda: bench.state() is RELEASED)
    assert broker.ticks() == []
    await bench.streamer.close()


async def test_a_lost_lease_drops_what_was_kept_for_kafka(broker: FakeBroker) -> None:
    bench = Bench(broker)
    await bench.streamer.start()
    await bench.begin(entry())
    bench.subscribe()
    broker.down = "kafka:9092: connection refused"
    broker.fail("fatal: out of order")
    await bench.until(lambda: bench.streamer.kafka_status().reachable is False)
    bench.frame(FULL)
    assert bench.metric("ibfeed_kafka_kept") == 1
    bench.ours = False
    bench.streamer.cut_off()
    assert (bench.metric("ibfeed_kafka_kept"), bench.state()) == (0, RELEASED)
    broker.down, bench.ours = "", True
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    assert broker.ticks() == []
    await bench.streamer.close()


@dataclass
class Secrets:
    password: str = "old"
    problem: str = ""
    asked: int = 0
    held: list[str] = field(default_factory=list)

    async def read(self) -> KafkaCredentials:
        self.asked += 1
        if self.problem:
            raise SecretsError(self.problem)
        return KafkaCredentials(username="feed", password=self.password)


@dataclass
class GuardedBroker(FakeBroker):
    """Refuses whoever comes with another password."""

    password: str = "old"

    def survey(self, topics: Sequence[str]) -> Survey:
        if self.asked_as[-1].password != self.password:
            raise NoMetadataError
        return super().survey(topics)


def refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def diagnose(*_: object) -> Trouble:
        return Trouble(Reason.KAFKA_CREDENTIALS, "kafka:9092 refuses us; correct Secret kafka-user")

    monkeypatch.setattr(inspection, "diagnose_bootstrap", diagnose)
    monkeypatch.setattr(publisher, "KAFKA_PAUSE_S", 0.1)


async def test_a_new_password_is_read_when_the_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch)
    broker, secrets = GuardedBroker(), Secrets()
    bench = Bench(broker, read_secrets=secrets.read)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    assert secrets.asked == 1
    bench.streamer.obey(())
    bench.streamer.obey((entry(),))
    bench.subscribe()
    first = bench.frame(FULL)
    await bench.until(lambda: bench.state() is PUBLISHING)
    broker.password, broker.acknowledges = "new", False
    bench.frame({"31": "72.00"})
    await bench.until(lambda: bench.streamer.kafka_status().reason == "CredentialsRefused")
    bench.frame({"31": "73.00"})
    broker.tail = Tail(Mark(event_time=first, seq=seq_of(1, 1)))
    secrets.password, broker.acknowledges = "new", True
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    await bench.until(lambda: bench.metric("ibfeed_ticks_acknowledged_total") == 3)
    assert [who.password for who in broker.asked_as] == ["old", "new"]
    assert [value["price"] for value in broker.ticks()] == [71.9, 72, 73, 72, 73]
    assert broker.events("gap") == []
    await bench.streamer.close()


async def test_a_secret_that_was_spoilt_is_named_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    refuses(monkeypatch)
    broker, secrets = GuardedBroker(), Secrets(problem="Secret kafka-user of kafka.secretRef has no password: add it")
    bench = Bench(broker, read_secrets=secrets.read)
    await bench.streamer.start()
    await bench.until(lambda: bench.streamer.kafka_status().reason == "KafkaSecretUnusable")
    assert bench.streamer.kafka_status().message == secrets.problem
    secrets.problem = ""
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    broker.password, secrets.problem = "new", "Secret kafka-user of kafka.secretRef does not exist: create it"
    await bench.until(lambda: bench.streamer.kafka_status().message == secrets.problem)
    secrets.problem, secrets.password = "", "new"
    await bench.until(lambda: bench.streamer.kafka_status().reachable)
    await bench.streamer.close()


async def test_whatever_fails_while_kafka_is_looked_at_is_said(bench: Bench, broker: FakeBroker) -> None:
    survey = broker.survey

    def broken(topics: Sequence[str]) -> Survey:
        raise RuntimeError("nobody thought of this")

    broker.survey = broken  # type: ignore[method-assign]
    await bench.until(lambda: bench.streamer.kafka_status().reason == "WorkerFailed")
    assert "RuntimeError: nobody thought of this" in bench.streamer.kafka_status().message
    broker.survey = survey  # type: ignore[method-assign]
    await bench.until(lambda: bench.streamer.kafka_status().reachable)


async def test_a_search_that_fails_lets_no_contract_wait(bench: Bench, broker: FakeBroker) -> None:
    def broken(ticks: object, books: object, questions: object) -> dict[bytes, Tail]:
        raise RuntimeError("nobody thought of this")

    broker.tails = broken  # type: ignore[method-assign]
    bench.streamer.obey((entry(epoch=2),))
    bench.subscribe()
    bench.frame(FULL)
    await bench.until(lambda: bench.state() is PUBLISHING)
    (gap,) = broker.events("gap")
    assert "the search failed: RuntimeError" in gap["detail"]


async def test_an_oversized_event_blocks_no_other(bench: Bench, broker: FakeBroker) -> None:
    broker.largest = 10
    bench.streamer.obey((entry(7),))
    broker.largest = 10**6
    bench.streamer.obey((entry(7), entry(8)))
    await bench.until(lambda: [event["conid"] for event in broker.events("assigned")] == [8])
    assert bench.metric("ibfeed_events_lost_total") == 1
