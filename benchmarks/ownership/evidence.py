"""What a stretch of time has left: what the witness heard, what Kafka holds."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec
from confluent_kafka import Message

from ownership.setting import EVENTS, TICKS
from ownership.verdict import Gap, Window, Written
from ownership.witness import Witness
from support.kafka_message import headers_of
from support.stream import Collector
from support.venue import Venue

_SETTLE_S: Final = 3.0  # until what was sent is on Kafka and with us, or will never be


class _Tick(msgspec.Struct):
    event_time: int
    seq: int


class _Event(msgspec.Struct):
    kind: str
    conid: int = 0
    from_ms: int | None = None
    to_ms: int | None = None


_tick: Final = msgspec.json.Decoder(_Tick)
_event: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True)
class Evidence:
    """``heard``: conid -> times (ms) at which the venue sent the witness anything of it."""

    sent: dict[int, list[int]]
    heard: dict[int, list[int]]
    written: dict[int, list[Written]]
    gaps: list[Gap]
    window: Window


class Watch:
    """Collects from its opening on; may be asked any number of times."""

    def __init__(self, venue: Venue, witnesses: Sequence[Witness], *, ticks: str = TICKS, events: str = EVENTS) -> None:
        self._venue = venue
        self._witnesses = witnesses
        self._ticks = Collector(ticks, _written)
        self._events = Collector(events, _gap)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self._ticks)
        self._open.enter_context(self._events)
        self._cursor = self._venue.cursor()
        self._begin_ms = self._venue.now_ms()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def written(self) -> dict[int, list[Written]]:
        """Conid -> its records so far."""
        found: dict[int, list[Written]] = defaultdict(list)
        for record in self._ticks.records():
            found[record.conid].append(record)
        return found

    def evidence(self) -> Evidence:
        """All until now. Takes ``_SETTLE_S``. Raises RuntimeError if the witness was cut off."""
        window = Window(self._begin_ms, self._venue.now_ms())
        time.sleep(_SETTLE_S)
        sent: dict[int, list[int]] = {}
        heard: dict[int, list[int]] = defaultdict(list)
        for witness in self._witnesses:
            witness.require()
            seen: dict[int, set[int]] = defaultdict(set)
            for line in self._venue.truth(self._cursor, username=witness.username):
                if line["kind"] in ("full", "delta"):
                    seen[line["conid"]].add(line["updated"])
                    heard[line["conid"]].append(line["at_ms"])
            sent |= {conid: sorted(times) for conid, times in seen.items()}
        return Evidence(sent, heard, self.written(), self._events.records(), window)


def _written(message: Message) -> Written:
    headers = headers_of(message)
    value = _tick.decode(message.value() or b"")
    return Written(
        conid=int(message.key() or b"0"),
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        at_ms=message.timestamp()[1],
        epoch=int(headers["epoch"]),
        worker=headers["worker"],
        event_time=value.event_time,
        seq=value.seq,
    )


def _gap(message: Message) -> Gap | None:
    event = _event.decode(message.value() or b"")
    return Gap(event.conid, event.from_ms, event.to_ms) if event.kind == "gap" else None
