"""Each update comes once and in order, whatever is sent twice or late."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ibfeed
from ibfeed.order import Position, RecentEvents, Verdict
from ibfeed.stream import EventStream, Topics, Wanted
from ibfeed_api.records import seq_of
from support.reader_records import CONID, EPOCH, FakeMessage, tick


@pytest.mark.parametrize(
    ("epoch", "seq", "verdict"),
    [
        (7, seq_of(7, 4), Verdict.NEXT),
        (7, seq_of(7, 6), Verdict.AFTER_HOLE),
        (7, seq_of(7, 3), Verdict.DUPLICATE),
        (7, seq_of(7, 1), Verdict.DUPLICATE),
        (6, seq_of(6, 9), Verdict.STALE),
        (6, seq_of(7, 9), Verdict.STALE),  # six days of an epoch reach into the numbers of the next
        (9, seq_of(9, 1), Verdict.NEXT),
    ],
)
def test_position_tells_what_a_record_is(epoch: int, seq: int, verdict: Verdict) -> None:
    position = Position(epoch=7, seq=seq_of(7, 3))
    before = (position.epoch, position.seq)
    assert position.advance(epoch, seq) is verdict
    moved = verdict in (Verdict.NEXT, Verdict.AFTER_HOLE)
    assert (position.epoch, position.seq) == ((epoch, seq) if moved else before)


def test_first_record_of_a_contract_is_next() -> None:
    assert Position().advance(7, seq_of(7, 99)) is Verdict.NEXT


def test_repeated_event_is_old_until_it_is_forgotten() -> None:
    recent = RecentEvents(room=2)
    assert [recent.is_new(value) for value in (b"a", b"a", b"b", b"a", b"c", b"a")] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]


@dataclass
class Log:
    """The records on Kafka, and the updates in it that a reader should return: (conid, epoch, count)."""

    records: list[tuple[int, int, int]] = field(default_factory=list)
    updates: list[tuple[int, int, int]] = field(default_factory=list)
    duplicates: int = 0
    stale: int = 0


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Contracts that change workers, with losses, repetitions and late records of old workers."""
    log = Log()
    epochs: dict[int, list[int]] = {}
    counts: dict[tuple[int, int], int] = {}
    for _ in range(draw(st.integers(1, 60))):
        conid = draw(st.integers(CONID, CONID + 2))
        mine = epochs.setdefault(conid, [EPOCH])
        sent = [record for record in log.records if record[0] == conid]
        match draw(st.sampled_from(["next", "next", "next", "loss", "move", "again", "late"])):
            case "again" if sent:
                log.records.append(draw(st.sampled_from(sent)))
                log.duplicates += log.records[-1][1] == mine[-1]
                log.stale += log.records[-1][1] != mine[-1]
                continue
            case "late" if len(mine) > 1 and (conid, mine[-1]) in counts:
                old = draw(st.sampled_from(mine[:-1]))
                counts[conid, old] = counts.get((conid, old), 0) + draw(st.integers(1, 3))
                log.records.append((conid, old, counts[conid, old]))
                log.stale += 1
                continue
            case "move":
                mine.append(mine[-1] + draw(st.integers(1, 100)))
            case "loss":
                counts[conid, mine[-1]] = counts.get((conid, mine[-1]), 0) + draw(st.integers(1, 5))
        count = counts[conid, mine[-1]] = counts.get((conid, mine[-1]), 0) + 1
        log.records.append((conid, mine[-1], count))
        log.updates.append(log.records[-1])
    return log


@given(logs(), st.integers(1, 7))
def test_each_update_comes_once_and_in_order(log: Log, size: int) -> None:
    stream = EventStream(Topics(), Wanted("energy"), skip_unreadable=False)
    messages: list[FakeMessage] = [tick(count, conid=conid, epoch=epoch) for conid, epoch, count in log.records]
    found = []
    for start in range(0, len(messages), size):
        found += list(stream.events(messages[start : start + size]))
    assert all(type(event) is ibfeed.Tick for event in found)
    assert [(event.conid, event.seq) for event in found if isinstance(event, ibfeed.Tick)] == [
        (conid, seq_of(epoch, count)) for conid, epoch, count in log.updates
    ]
    assert (stream.counters.duplicates, stream.counters.stale) == (log.duplicates, log.stale)
    assert stream.counters.records == len(log.records)
