"""Order books from the venue's ladders, through the stand-in gateway, to a real Kafka: at every moment the venue's own.

The ladder is the real one: an hour of CME's ES, ten levels a side, played faster.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from component.scripted_gateway import Worker, pinned, streaming, topics, working
from component.test_simulator_gateway import front
from component.test_stream_kafka import read_all
from ibfeed_api.feed import Kafka
from ibfeed_api.shard import Entry
from ibfeed_worker.stream import End, Link
from support import entries
from support.book import Ladder, Reader, Sides
from support.gateway import Gateway
from support.simulator import Venue
from support.stream import Record

SPEED = ("--replay-speed", "30", "--interval", "0.1", "--over-limit", "error")


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    folder = tmp_path / "venue"
    folder.mkdir()
    with Venue(folder, *SPEED) as running:
        yield running


@pytest.fixture
def gateway(gateway_folder: Path, venue: Venue, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(gateway_folder, tmp_path, venue.upstream, venue.ca) as running:
        yield running.ready().log_in(venue)


def link_to(gateway: Gateway) -> Link:
    certificate = ssl.get_server_certificate(("127.0.0.1", gateway.port)).encode()
    cookie = gateway.http.post("/v1/api/tickle", json={}).json()["session"]
    return Link(f"wss://127.0.0.1:{gateway.port}/v1/api/ws", pinned(certificate), cookie)


def entry(conid: int, symbol: str, exchange: str, *, depth: bool = True, epoch: int = 1) -> Entry:
    facts: dict[str, Any] = {"symbol": symbol, "exchange": exchange, "contract_month": "202612"}
    return entries.entry(conid, root=symbol[:2], depth=depth, epoch=epoch, slot=int(symbol[:2] != "ES"), **facts)


def metric(worker: Worker, name: str) -> float:
    samples = (sample for family in worker.streamer.collector.collect() for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == name)


class Ladders:
    """The venue's ladders of one contract: each state once, connection by connection."""

    def __init__(self, truth: list[dict[str, Any]], conid: int) -> None:
        self.connections: list[list[Sides]] = []
        known: dict[int, Ladder] = {}
        for line in truth:
            if line["kind"] != "ladder" or line["conid"] != conid:
                continue
            if line["connection"] not in known:
                known[line["connection"]] = Ladder()
                self.connections.append([])
            ladder = known[line["connection"]]
            ladder.take(line["frame"])
            states = self.connections[-1]
            if not states or states[-1] != ladder.sides:
                states.append(ladder.sides)


def rebuilt(records: list[Record], conid: int) -> tuple[list[list[Sides]], Reader]:
    """The reader's books of one contract: one list from each snapshot that follows a clear."""
    reader, lives = Reader(), list[list[Sides]]()
    for record in records:
        if record.conid != conid:
            continue
        fresh = reader.book is None
        reader.take(record.value)
        if reader.book is not None:
            if fresh:
                lives.append([])
            lives[-1].append(reader.book)
    return lives, reader


async def settled(worker: Worker, ask: Callable[[], bool]) -> None:
    """Until ``ask`` holds and nothing is on its way to Kafka."""
    await worker.until(ask, within=30)
    await worker.until(lambda: metric(worker, "ibfeed_kafka_backlog") == 0)


async def caught_up(worker: Worker, venue: Venue, kafka: Kafka, conid: int) -> None:
    """Until as many states of the latest connection are on Kafka as the venue has sent."""
    states = len(Ladders(venue.truth(), conid).connections[-1])

    def there() -> bool:
        lives, _ = rebuilt(read_all(kafka.topics.l2_data), conid)
        return bool(lives) and len(lives[-1]) >= states

    await worker.until(there, within=30)


async def test_the_book_on_kafka_is_the_venues_at_every_moment(venue: Venue, gateway: Gateway) -> None:
    es, cl = front(gateway, "ES"), front(gateway, "CL")
    quiet = entry(cl, "CLF7", "NYMEX", depth=False)
    with topics() as kafka:
        async with working(kafka) as worker:
            await worker.reachable()
            worker.streamer.obey((entry(es, "ESZ6", "CME"), quiet))
            async with streaming(worker, link_to(gateway)) as life:
                await settled(worker, lambda: metric(worker, "ibfeed_books_produced_total") > 40)
                venue.fault("drop_websocket", username="paper1")
                assert (await asyncio.wait_for(life, 10)).reason is End.CLOSED
            async with streaming(worker, link_to(gateway)):
                await worker.until(lambda: metric(worker, "ibfeed_books_produced_total") > 80, within=30)
                venue.fault("silent_feed", username="paper1")
                await caught_up(worker, venue, kafka, es)
                compare(venue, kafka, es, lives=2)

                venue.clear()  # the operator gives the account's one ladder to another contract
                before = metric(worker, "ibfeed_books_produced_total")
                worker.streamer.obey((entry(es, "ESZ6", "CME", depth=False), entry(cl, "CLF7", "NYMEX")))
                await worker.until(lambda: metric(worker, "ibfeed_books_produced_total") > before + 30, within=30)
                venue.fault("silent_feed", username="paper1")
                await caught_up(worker, venue, kafka, cl)
                compare(venue, kafka, cl, lives=1)
                assert rebuilt(read_all(kafka.topics.l2_data), es)[1].book is None

                await asyncio.wait_for(worker.streamer.release(), 10)
            assert metric(worker, "ibfeed_frames_error_total") == 0  # never two ladders at once
            assert metric(worker, "ibfeed_ladder_rows_unreadable_total") == 0
        records = read_all(kafka.topics.l2_data)
    for conid in (es, cl):
        _, reader = rebuilt(records, conid)
        # Both say that what was there is void; which one depends on whether rows or Kafka's answer came first.
        assert reader.kinds[0] in ("clear", "snapshot")
        assert reader.kinds[-1] == "clear"
        assert reader.kinds.count("delta") > 20
    assert {record.headers["schema"] for record in records} == {"l2-data/2"}
    assert all(isinstance(price, Decimal | int) for record in records for price, _ in record.value["bids"])


def compare(venue: Venue, kafka: Kafka, conid: int, lives: int) -> None:
    """Every state that the venue sent is there, in order; of a connection that was cut its last ones may be missing."""
    theirs = Ladders(venue.truth(), conid).connections
    ours, reader = rebuilt(read_all(kafka.topics.l2_data), conid)
    assert len(ours) == len(theirs) == lives
    for mine, sent in zip(ours[:-1], theirs[:-1], strict=True):
        assert mine == sent[: len(mine)]
        assert len(sent) - len(mine) <= 3
    assert ours[-1] == theirs[-1]
    assert reader.book == theirs[-1][-1]
    assert len(theirs[-1][-1].bids) == len(theirs[-1][-1].asks) == 10
