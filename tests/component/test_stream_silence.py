"""Heartbeats over dead feeds: the venue falls silent for one contract or for all, in and out of trading hours.

The trading hours are the venue's own, asked for through the stand-in gateway as a worker does.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from component.scripted_gateway import Worker, entry, streaming, topics, working
from component.test_book_kafka import link_to, metric
from component.test_stream_kafka import read_all
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import ContractState, Entry
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.timetable import Timetable
from ibfeed_worker.stream import End, Link, Timing
from ibfeed_worker.stream.staleness import Patience
from support.gateway import Gateway
from support.simulator import Venue

QUICK = Timing(
    patience=Patience(shortest=1.5, unknown=2.5, opening=0.0, answer=1.0, first=1.0, unproven=0.3, fresh=1.0, look=0.2),
    refused_again=1.0,
)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    folder = tmp_path / "venue"
    folder.mkdir()
    with Venue(folder, "--interval", "0.1") as running:
        yield running


@pytest.fixture
def gateway(gateway_folder: Path, venue: Venue, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(gateway_folder, tmp_path, venue.upstream, venue.ca) as running:
        yield running.ready().log_in(venue)


@contextlib.asynccontextmanager
async def hours_of(gateway: Gateway, link: Link, entries: tuple[Entry, ...]) -> AsyncIterator[Timetable]:
    transport = httpx.AsyncHTTPTransport(verify=link.ssl)
    rest = SessionClient(f"https://127.0.0.1:{gateway.port}", PinnedTls(link.ssl, ""), Budget(), Metrics(), transport)
    timetable = Timetable()
    keeping = asyncio.create_task(timetable.keep(rest, lambda: entries))
    try:
        yield timetable
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await rest.close()


def three(gateway: Gateway) -> tuple[Entry, ...]:
    listed = gateway.http.get("/v1/api/trsrv/futures", params={"symbols": "CL"}).json()["CL"]
    return tuple(entry(row["conid"], slot) for slot, row in enumerate(listed[:3]))


def states(worker: Worker) -> list[ContractState]:
    return [report.state for report in sorted(worker.streamer.reports(), key=lambda report: report.conid)]


def state(worker: Worker, conid: int) -> ContractState:
    return next(report.state for report in worker.streamer.reports() if report.conid == conid)


def message(worker: Worker, conid: int) -> str:
    return next(report.message for report in worker.streamer.reports() if report.conid == conid)


PUBLISHING = [ContractState.PUBLISHING] * 3


async def test_one_silent_contract_is_found_reported_and_its_gap_told_when_it_speaks_again(
    venue: Venue, gateway: Gateway
) -> None:
    entries, link = three(gateway), link_to(gateway)
    victim = entries[1].conid
    with topics() as kafka:
        async with (
            hours_of(gateway, link, entries) as timetable,
            working(kafka, QUICK, hours=timetable.hours) as worker,
        ):
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                await worker.until(lambda: metric(worker, "ibfeed_hours_unknown") == 0)
                venue.fault("silent_feed", username="paper1", value=str(victim))
                await worker.until(lambda: state(worker, victim) is ContractState.SILENT)
                assert "IB sends nothing of it since" in message(worker, victim)
                await worker.until(lambda: metric(worker, "ibfeed_lines_dead") == 1)
                assert metric(worker, "ibfeed_lines_suspected_total") >= 1
                assert not life.done()
                assert worker.streamer.lines_used == 3
                venue.clear()
                await worker.until(lambda: states(worker) == PUBLISHING)
                await worker.until(lambda: metric(worker, "ibfeed_lines_dead") == 0)
            await worker.streamer.release()
        gaps = [e.value for e in read_all(kafka.topics.feed_events) if e.value["kind"] == "gap"]
        records = [r.value for r in read_all(kafka.topics.ticklast) if r.conid == victim]
    gap = next(gap for gap in gaps if gap["conid"] == victim and "stopped sending" in gap["detail"])
    times = [value["event_time"] for value in records]
    assert gap["to_ms"] == times[times.index(gap["from_ms"]) + 1]
    assert gap["to_ms"] - gap["from_ms"] > 1500
    assert {gap["conid"] for gap in gaps} == {victim}


async def test_a_line_that_freezes_again_is_found_as_fast(venue: Venue, gateway: Gateway) -> None:
    entries, link = three(gateway), link_to(gateway)
    victim = entries[1].conid
    found = []
    with topics() as kafka:
        async with (
            hours_of(gateway, link, entries) as timetable,
            working(kafka, QUICK, hours=timetable.hours) as worker,
        ):
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                await worker.until(lambda: metric(worker, "ibfeed_hours_unknown") == 0)
                for _ in range(5):
                    await asyncio.sleep(2)  # its pace: five looks at least
                    venue.fault("freeze", username="paper1", value=victim)
                    frozen = time.monotonic()
                    await worker.until(lambda: state(worker, victim) is ContractState.SILENT)
                    await worker.until(lambda: states(worker) == PUBLISHING)
                    found.append(time.monotonic() - frozen)
                assert not life.done()
            await worker.streamer.release()
        gaps = [e.value for e in read_all(kafka.topics.feed_events) if e.value["kind"] == "gap"]
    assert {gap["conid"] for gap in gaps} == {victim}
    assert len(gaps) == 5, "each silence once, and no other contract was in doubt"
    assert max(found) < 2 * found[0] + 1, f"the fifth took as long as the first: {found}"


async def test_a_refused_contract_is_named_and_takes_no_line(venue: Venue, gateway: Gateway) -> None:
    entries, link = three(gateway), link_to(gateway)
    victim = entries[1].conid
    venue.fault("refuse_subscription", username="paper1", value=str(victim))
    with topics() as kafka:
        async with working(kafka, QUICK) as worker:
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link):
                await worker.until(lambda: state(worker, victim) is ContractState.REFUSED)
                assert message(worker, victim) == "IB refuses it: No contract found"
                await worker.until(lambda: states(worker).count(ContractState.PUBLISHING) == 2)
                assert worker.streamer.lines_used == 2
                assert worker.streamer.remark() == (
                    Reason.SUBSCRIPTION_REFUSED,
                    f"{entries[1].symbol}: IB refuses it: No contract found",
                )
                venue.clear()
                await worker.until(lambda: states(worker) == PUBLISHING)
                assert worker.streamer.lines_used == 3
                assert worker.streamer.remark() is None


async def test_a_contract_refused_while_it_streams_leaves_a_gap(venue: Venue, gateway: Gateway) -> None:
    entries, link = three(gateway), link_to(gateway)
    victim = entries[0].conid
    with topics() as kafka:
        async with working(kafka, QUICK) as worker:
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link):
                await worker.until(lambda: states(worker) == PUBLISHING)
                venue.fault("refuse_subscription", username="paper1", value=str(victim))
                assert worker.streamer.subscriber._connection is not None
                worker.streamer.subscriber._connection.renew(victim)
                worker.streamer.subscriber._connection.nudge()
                await worker.until(lambda: state(worker, victim) is ContractState.REFUSED)
                venue.clear()
                await worker.until(lambda: states(worker) == PUBLISHING)
            await worker.streamer.release()
        gaps = [e.value for e in read_all(kafka.topics.feed_events) if e.value["kind"] == "gap"]
    assert [(gap["conid"], "No contract found" in gap["detail"]) for gap in gaps] == [(victim, True)]


async def test_all_silent_ends_the_connection_again_and_again_ever_later_until_somebody_speaks(
    venue: Venue, gateway: Gateway
) -> None:
    entries, link = three(gateway), link_to(gateway)
    with topics() as kafka:
        async with (
            hours_of(gateway, link, entries) as timetable,
            working(kafka, QUICK, hours=timetable.hours) as worker,
        ):
            await worker.reachable()
            worker.streamer.obey(entries)
            waits: list[float] = []
            clock = asyncio.get_running_loop().time
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                await worker.until(lambda: metric(worker, "ibfeed_hours_unknown") == 0)
                venue.fault("silent_feed", username="paper1")
                begun = clock()
                ends = [await asyncio.wait_for(life, 20)]
                waits.append(clock() - begun)
            for _ in range(2):
                begun = clock()
                ends.append(await asyncio.wait_for(worker.streamer.stream(link), 20))
                waits.append(clock() - begun)
            assert [(end.reason, end.silent_in_a_row) for end in ends] == [(End.SILENT_FEED, n) for n in (1, 2, 3)]
            assert waits[2] > waits[1]
            async with streaming(worker, link):
                told = len(worker.sessions)
                await worker.until(lambda: worker.streamer.lines_used == 3 and len(worker.sessions) > told)
                assert worker.sessions[-1].authenticated
                assert worker.streamer.mute, "IB has the session, but sends nothing"
                worker.streamer.obey(())
                await worker.until(lambda: not worker.streamer.mute)  # of nobody anything is due
            venue.clear()
            worker.streamer.obey(tuple(msgspec.structs.replace(one, epoch=2) for one in entries))
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                assert not worker.streamer.mute
                venue.fault("silent_feed", username="paper1")
                assert (await asyncio.wait_for(life, 20)).silent_in_a_row == 1


async def test_a_closed_market_is_left_alone(venue: Venue, gateway: Gateway) -> None:
    entries, link, now = three(gateway), link_to(gateway), time.time()
    closed = Hours((Span(now - 7200, now - 3600), Span(now + 3600, now + 7200)))
    with topics() as kafka:
        async with working(kafka, QUICK, hours=lambda _: closed) as worker:
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                venue.fault("silent_feed", username="paper1")
                await asyncio.sleep(6)
                assert not life.done()
                assert metric(worker, "ibfeed_lines_suspected_total") == 0


@pytest.mark.parametrize(("refused", "unknown"), [("contract", 0), (None, 3)])
async def test_without_the_newer_schedule_the_older_one_counts_and_without_any_nothing_is_judged(
    venue: Venue, gateway: Gateway, refused: str | None, unknown: int
) -> None:
    entries, link = three(gateway), link_to(gateway)
    venue.fault("no_schedule", username="paper1", **({"value": refused} if refused else {}))
    with topics() as kafka:
        async with (
            hours_of(gateway, link, entries) as timetable,
            working(kafka, QUICK, hours=timetable.hours) as worker,
        ):
            await worker.reachable()
            worker.streamer.obey(entries)
            async with streaming(worker, link) as life:
                await worker.until(lambda: states(worker) == PUBLISHING)
                if unknown:
                    await asyncio.sleep(1)  # for an answer that does not come
                await worker.until(lambda: metric(worker, "ibfeed_hours_unknown") == unknown)
                venue.fault("silent_feed", username="paper1")
                if unknown:
                    await asyncio.sleep(8)
                    assert not life.done()
                    assert states(worker) == PUBLISHING
                    assert metric(worker, "ibfeed_lines_suspected_total") == 0
                else:
                    assert (await asyncio.wait_for(life, 20)).reason is End.SILENT_FEED
