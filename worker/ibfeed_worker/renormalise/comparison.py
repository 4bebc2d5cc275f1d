"""The comparison of what the stream makes of recorded frames with the records of then. No I/O.

A tick is known by its contract and when its frame came, a record of an order book by its contract and its event time.
``seq`` is not compared, since it comes from the assignment. Records that void a book are not compared either: the
worker writes them by its own clock. Zeros at the end of a fraction are compared, unless the record of then was Avro in
Kafka, which has none.

Frames of a contract may have come while another worker published it, or before frames were recorded. So only the time
counts for which there are frames and, of each contract, records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ibfeed.recording.frames import Frames

Identity = tuple[str, int, int]  # ticks or books; conid; received_ns of a tick, event_time of a book


@dataclass(frozen=True)
class Difference:
    """One record that is not what it was.

    Args:
        identity: the record.
        was: what it was; None: there was none.
        now: what it is; None: there is none.
    """

    identity: Identity
    was: dict[str, Any] | None
    now: dict[str, Any] | None

    def __str__(self) -> str:
        kind, conid, at = self.identity
        where = f"{kind} {conid} at {at}"
        if self.was is None:
            return f"{where}: new: {json.dumps(self.now)}"
        if self.now is None:
            return f"{where}: no longer: {json.dumps(self.was)}"
        names = [name for name in {**self.was, **self.now} if self.was.get(name) != self.now.get(name)]
        told = (f"{name} {json.dumps(self.was.get(name))} -> {json.dumps(self.now.get(name))}" for name in names)
        return f"{where}: {', '.join(told)}"


@dataclass
class FramesSpan:
    """The time for which there are frames, in ns since 1970."""

    first: int = 1 << 63
    last: int = 0

    def over(self, blocks: Iterable[Frames]) -> Iterator[Frames]:
        """Yield frames, and grow to hold their times."""
        for block in blocks:
            self.first, self.last = min(self.first, *block.times), max(self.last, *block.times)
            yield block


@dataclass
class Comparison:
    """Records of then and of now, by what they are known by."""

    equal: int = 0
    _was: dict[Identity, list[dict[str, Any]]] = field(default_factory=dict)
    _now: dict[Identity, list[dict[str, Any]]] = field(default_factory=dict)
    _from_avro: set[Identity] = field(default_factory=set)

    def add_was(self, value: bytes, span: FramesSpan, *, from_avro: bool = False) -> None:
        """Add a record of then, if it is of the time for which there are frames."""
        identity = _add(self._was, value, span)
        if from_avro and identity is not None:
            self._from_avro.add(identity)

    def add_now(self, value: bytes) -> None:
        """Add a record of now."""
        _add(self._now, value)

    def differences(self) -> Iterator[Difference]:
        """Yield the records that differ, by contract and time, and count those that do not."""
        self.equal = 0
        spans: dict[tuple[str, int], tuple[int, int]] = {}
        for kind, conid, at in self._was:
            first, last = spans.get((kind, conid), (at, at))
            spans[kind, conid] = min(first, at), max(last, at)
        for identity in sorted(self._was.keys() | self._now.keys()):
            was, now = self._was.get(identity, []), self._now.get(identity, [])
            first, last = spans.get(identity[:2], (0, 0))
            if not first <= identity[2] <= last:
                continue
            for number in range(max(len(was), len(now))):
                before = was[number] if number < len(was) else None
                after = now[number] if number < len(now) else None
                if identity in self._from_avro:
                    after = _without_zeros(after)
                if before == after:
                    self.equal += 1
                else:
                    yield Difference(identity, before, after)


class _Fraction(str):
    """A number with a point, as it is written."""

    __slots__ = ()


def _without_zeros(value: Any) -> Any:
    """Return a record without zeros at the end of fractions."""
    if isinstance(value, dict):
        return {name: _without_zeros(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_zeros(one) for one in value]
    return value.rstrip("0").rstrip(".") if isinstance(value, _Fraction) else value


def _add(
    records: dict[Identity, list[dict[str, Any]]], value: bytes, span: FramesSpan | None = None
) -> Identity | None:
    """Add a record, and return what it is known by; None: it is not compared."""
    # Numbers stay as they are written: 71.90 and 71.9 differ.
    fields = json.loads(value, parse_float=_Fraction, parse_int=str)
    if fields.get("kind") == "clear":
        return None
    fields.pop("seq", None)
    is_tick = "received_ns" in fields
    at = int(fields["received_ns"] if is_tick else fields["event_time"])
    # A book's time is in ms: it may have come after the first frame, within the frame's millisecond.
    unit = 1 if is_tick else 1_000_000
    if span is not None and not span.first // unit <= at <= span.last // unit:
        return None
    identity = ("ticks" if is_tick else "books", int(fields["conid"]), at)
    records.setdefault(identity, []).append(fields)
    return identity


def symbols_of(values: Iterable[bytes]) -> tuple[dict[int, str], frozenset[int]]:
    """Return by conid the symbols in records, and the conids of order books."""
    symbols, books = {}, set()
    for value in values:
        fields = json.loads(value)
        symbols[fields["conid"]] = fields["symbol"]
        if "bids" in fields:
            books.add(fields["conid"])
    return symbols, frozenset(books)
