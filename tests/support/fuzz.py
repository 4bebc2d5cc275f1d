"""The worker's reader under fire: IB's frames, spoilt in every way, and an oracle of all that may be published.

The oracle reads the messages itself, with regular expressions rather than a JSON parser. Each published value of a
contract must be in a message that was sent for that contract, and in the same field.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Any

from ibfeed_api.feed import Kafka
from ibfeed_api.shard import Entry
from ibfeed_worker.publish import Tail
from ibfeed_worker.publish.survey import Partition, Survey
from ibfeed_worker.stream import Streamer, Timing
from ibfeed_worker.stream.connection import Connection
from ibfeed_worker.stream.ladder import Asked, Target
from support import entries
from support.fake_broker import NoTables

OURS = (495512572, 495512573, 640000001)
ES = OURS[0]
FOREIGN = (265598, 1, 4955125721)
_PRICES = ("3913.50", "C3913.25", "H3913.25", "-37.63", "0", "0.01", "71.90", "", "3,913.75", "1e3", "110'16", "NaN")
_SIZES = ("3", "1,300", "0", "", "12.2M", "3.1K", "2B", "-5", "1,3", "007", "0.54%")
_TYPES = ("RB", "RpB", "D", "ZB", "Y", "N", "S", "", "i")
_FIELDS = {"31": _PRICES, "84": _PRICES, "86": _PRICES, "7059": _SIZES, "88": _SIZES, "85": _SIZES}
_MORE = {"7762": _SIZES, "87": _SIZES, "7697": _SIZES, "6509": _TYPES}
_NOISE = {"87_raw": 1.22e7, "6119": "q0", "server_id": "q0", "55": "ES", "9999": {"a": [1, None]}, "x": "\xe9"}
_TOKENS = (b"null", b"true", b"[]", b"{}", b"1e999", b"-0", b"9" * 60, b'"' + b"9" * 60 + b'"', b'"R"', b"12", b"1.50")
_OTHERS = (
    {"topic": "system", "success": "user", "isFT": False, "isPaper": True},
    {"topic": "system", "hb": 1594677336001},
    {"topic": "sts", "args": {"authenticated": True}},
    {"topic": "sts", "args": {"message": "", "competing": False}},
    {"topic": "act", "args": {"accounts": ["DU123"], "serverInfo": {}, "isPaper": True}},
    {"topic": "tic", "alive": True, "id": "abc", "lastAccessed": 1594677336001},
    {"topic": "ntf", "args": {"id": "1", "text": "smd+495512572", "url": ""}},
    {"topic": "new", "conid": ES, "31": "1.00"},
    {"error": "Topic unknown smd", "code": 1},
)

_PAIR = re.compile(rb'"(\w+)"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d[\d.eE+-]*))', re.DOTALL)
_SAID = re.compile(
    rb'"(topic|conid|_updated|6509|31|7059|84|88|86|85|7762|87|7697|price|bid|ask)"'
    rb'\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?\d[\d.eE+-]*))',
    re.DOTALL,
)
_TIME = re.compile(rb"(\d{13})")
_NOW = b"1111111111111"  # a place for the time at which a frame goes out
_POOL = 5000  # so many frames, which are sent again and again
_DAY_MS = 2 * 86_400_000
_exactly = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal).decode
_UNITS = {"K": 1000, "M": 10**6, "B": 10**9, "%": 1}
_TICK_FIELDS = {
    "31": "price", "7059": "size", "84": "bid", "88": "bid_size", "86": "ask", "85": "ask_size",
    "7762": "volume", "87": "volume", "7697": "open_interest",
}  # fmt: skip


@lru_cache(maxsize=100_000)
def number(text: str) -> Decimal | None:
    """Read a number of IB's, independently of the worker's code."""
    text = text.strip().removeprefix("C").removeprefix("H").replace(",", "")
    unit = text[-1:] if text[-1:] in _UNITS else ""
    try:
        return Decimal(text.removesuffix(unit)) * _UNITS.get(unit, 1) if len(text) < 100 else None
    except DecimalException:
        return None


class Messages:
    """An endless series of messages, each as the payloads in which it goes out."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._time = time.time_ns() // 1_000_000 - 3_600_000
        self._late: deque[list[bytes]] = deque()
        self._pool = [self._made() for _ in range(_POOL)]

    def __iter__(self) -> Iterator[list[bytes]]:
        dice = self._dice
        while True:
            roll = dice.random()
            whole = self._frame()
            if roll < 0.45:
                yield [whole]
            elif roll < 0.75:
                yield [self._spoilt(whole)]
            elif roll < 0.80:
                yield self._cut(whole)
            elif roll < 0.84:
                yield self._cut(self._spoilt(whole))
            elif roll < 0.87:
                yield [whole + self._frame()]
            elif roll < 0.90:
                yield [dice.choice([whole[: dice.randrange(len(whole))], whole[dice.randrange(len(whole)) :]])]
            elif roll < 0.93:
                yield [dice.randbytes(dice.randrange(80))]
            elif roll < 0.97:
                self._late.append([whole])
            elif self._late:
                yield self._late.popleft()

    def _frame(self) -> bytes:
        self._time += self._dice.choice((0, 0, 1, 1, 3, 5, -5))
        return self._dice.choice(self._pool).replace(_NOW, b"%d" % self._time)

    def _made(self) -> bytes:
        dice = self._dice
        roll = dice.random()
        if roll < 0.8:
            return self._smd()
        if roll < 0.9:
            return self._sbd()
        return _json(dice.choice(_OTHERS))

    def _smd(self) -> bytes:
        dice, now = self._dice, int(_NOW)
        conid = dice.choice(OURS) if dice.random() < 0.9 else dice.choice(FOREIGN)
        fields: dict[str, Any] = {"topic": f"smd+{conid}", "conid": conid, "_updated": now}
        form = dice.random()
        if form < 0.1:
            fields["conid"] = str(conid)
        elif form < 0.2:
            del fields["conid"]
        if dice.random() < 0.02:
            fields["_updated"] = dice.choice((None, str(now), -1, 0, now * 10, 10**30, 1.5))
        wanted = {**_FIELDS, **_MORE}
        for name in dice.sample(sorted(wanted), dice.randrange(1, 5)) if dice.random() < 0.8 else wanted:
            fields[name] = self._value(name, wanted[name])
        for name in dice.sample(sorted(_NOISE), dice.randrange(3)):
            fields[name] = _NOISE[name]
        names = list(fields)
        if dice.random() < 0.3:
            dice.shuffle(names)
        return _json({name: fields[name] for name in names})

    def _value(self, name: str, values: tuple[str, ...]) -> Any:
        dice = self._dice
        if dice.random() < 0.3:
            return dice.choice(values)
        if name == "6509":
            return "RB"
        price = name in ("31", "84", "86")
        text = f"{dice.randrange(1, 10**6) / 100:.2f}" if price else f"{dice.randrange(10**5):,}"
        return text if dice.random() < 0.95 or "," in text else float(text)

    def _sbd(self) -> bytes:
        dice = self._dice
        conid = ES if dice.random() < 0.9 else dice.choice(OURS + FOREIGN)
        rows: list[Any] = []
        for _ in range(dice.randrange(1, 6)):
            price = f"{dice.randrange(400, 420)}.{dice.choice(('00', '25', '50', '75'))}"
            row: dict[str, Any] = {"row": dice.randrange(20), "focus": 0, "price": price}
            if dice.random() < 0.2:
                row["price"] = f"{dice.randrange(1, 500):,} @ {price}"
            side = dice.choice(("bid", "ask", ""))
            if side:
                row[side] = dice.choice(_SIZES) if dice.random() < 0.1 else f"{dice.randrange(1, 3000):,}"
            rows.append(row if dice.random() < 0.98 else dice.choice((None, 5, "x", {"row": "y"}, [])))
        return _json({"topic": f"sbd+DU123+{conid}{dice.choice(('', '+CME'))}", "data": rows})

    def _spoilt(self, frame: bytes) -> bytes:
        """Spoil a frame, but give it no wrong time that could be right: it would put all later frames into the past."""
        while True:
            spoilt = self._spoil(frame)
            if not any(self._time < int(found[1]) < self._time + _DAY_MS for found in _TIME.finditer(spoilt)):
                return spoilt

    def _spoil(self, frame: bytes) -> bytes:
        dice = self._dice
        spoilt = bytearray(frame)
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            place = dice.randrange(len(spoilt) + 1)
            match dice.randrange(6):
                case 0 if place < len(spoilt):
                    spoilt[place] = dice.randrange(256)
                case 1 if place < len(spoilt):
                    spoilt[place] ^= 1 << dice.randrange(8)
                case 2:
                    del spoilt[place : place + dice.randrange(1, 9)]
                case 3:
                    spoilt[place:place] = dice.randbytes(dice.randrange(1, 4))
                case 4:
                    spoilt[place:place] = spoilt[place - 12 : place]
                case _:
                    spoilt = self._retyped(spoilt)
        return bytes(spoilt)

    def _retyped(self, frame: bytearray) -> bytearray:
        """Return the frame with another value in the place of one of its values."""
        pairs = list(_PAIR.finditer(frame))
        if not pairs:
            return frame
        pair = self._dice.choice(pairs)
        start = pair.start(2) - 1 if pair[2] is not None else pair.start(3)
        return frame[:start] + self._dice.choice(_TOKENS) + frame[pair.end() :]

    def _cut(self, frame: bytes) -> list[bytes]:
        if len(frame) < 4:
            return [frame]
        cuts = sorted(self._dice.sample(range(1, len(frame)), self._dice.randrange(1, 4)))
        return [frame[a:b] for a, b in zip([0, *cuts], [*cuts, len(frame)], strict=True)]


class Oracle:
    """The values that may be published: for each contract and field those that were sent."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, str], set[Decimal | None]] = defaultdict(lambda: {None})
        self.times: dict[int, set[int | None]] = defaultdict(set)
        self.types: dict[int, set[str]] = defaultdict(set)
        self.ticks = self.books = 0
        self._places: dict[tuple[str, int], tuple[int, int]] = {}
        self._parts: deque[bytes] = deque(maxlen=4)

    def sent(self, payloads: list[bytes]) -> None:
        self._hear(b"".join(payloads))
        for payload in payloads:
            self._parts.append(payload)
            if len(payload) < 4096 and not (payload.startswith(b"{") and payload.endswith(b"}")):
                # Half a message may become whole by its neighbours. Then all of them must be about one contract.
                parts = list(self._parts)
                for first in range(len(parts) - 1):
                    self._hear(b"".join(parts[first:]), one_contract=True)

    def _hear(self, message: bytes, *, one_contract: bool = False) -> None:
        pairs = [
            (name.decode(), (text or digits).decode(errors="replace")) for name, text, digits in _SAID.findall(message)
        ]
        named = {_digits(text) for name, text in pairs if name == "conid"}
        topics = {_digits(part) for name, text in pairs if name == "topic" for part in text.split("+")[1:3]}
        conids = (topics | named) - {None}
        if one_contract and len(conids) != 1:
            return
        for conid in conids:
            if conid not in OURS:
                continue
            for name, text in pairs:
                if name in _TICK_FIELDS:
                    self.numbers[conid, _TICK_FIELDS[name]].add(number(text))
                elif name == "_updated":
                    self.times[conid].add(_digits(text))
                elif name == "6509":
                    self.types[conid].add(text)
                elif name == "price":
                    self.numbers[conid, "level"].add(number(text.rpartition("@")[2]))
                elif name in ("bid", "ask"):
                    self.numbers[conid, "level_size"].add(number(text))

    def published(self, topic: str, value: bytes) -> None:
        if topic == "feed-events":
            return
        record = _exactly(value.decode())
        conid = int(record["conid"])
        time_, seq = int(record["event_time"]), int(record["seq"])
        before = self._places.get((topic, conid), (0, 0))
        assert time_ >= before[0], f"time goes back: {value!r}"
        assert seq > before[1], f"seq does not grow: {value!r}"
        self._places[topic, conid] = time_, seq
        if topic == "l2-data":
            self.books += 1
            assert conid == ES, f"a book of {conid}"
            for price, size in (*record["bids"], *record["asks"]):
                assert price in self.numbers[conid, "level"], (
                    f"a price that was never sent: {value!r}, after {list(self._parts)}"
                )
                assert size == 0 or size in self.numbers[conid, "level_size"], (
                    f"a size that was never sent: {value!r}, after {list(self._parts)}"
                )
            return
        self.ticks += 1
        for name in set(_TICK_FIELDS.values()):
            assert record[name] in self.numbers[conid, name], (
                f"a {name} that was never sent: {value!r}, after {list(self._parts)}"
            )
        assert time_ in self.times[conid], f"a time that was never sent: {value!r}, after {list(self._parts)}"
        kind = record["market_data_type"]
        assert kind in self.types[conid], f"a type that was never sent: {value!r}, after {list(self._parts)}"
        assert kind.startswith("R") or {"delayed", "frozen", "not_subscribed", "unverified"} & set(record["flags"])


class Broker(NoTables):
    """A Kafka client that shows every record to the oracle and acknowledges it."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._open: deque[Any] = deque()

    def connect(self, *_: Any) -> Broker:
        return self

    def produce(self, topic: str, partition: int, key: bytes, value: bytes, headers: Any, delivered: Any) -> None:
        self._oracle.published(topic, value)
        self._open.append(delivered)

    def poll(self) -> None:
        while self._open:
            self._open.popleft()(None, None)

    def survey(self, topics: Any) -> Survey:
        partition = Partition(leader=1, replicas=1, in_sync=1)
        counts = {"ticklast": 12, "l2-data": 12, "feed-events": 1}
        return Survey(topics={name: (partition,) * counts[name] for name in topics}, brokers={1: "kafka:9092"})

    def limits(self, topics: Any) -> Mapping[str, Any]:
        return {}

    def denied(self, topics: Any) -> frozenset[str]:
        return frozenset()

    def create(self, topics: Any) -> None:
        raise AssertionError("all topics are there")

    def tails(self, ticks: Any, books: Any, questions: Any) -> Mapping[bytes, Any]:
        return {question.key: Tail(None) for question in questions}

    def abandon(self) -> None:
        pass


async def fire(count: int, seed: int) -> tuple[Oracle, float]:
    """Put ``count`` payloads through the reader. Return the oracle, and the processor seconds that the reader took."""
    oracle = Oracle()
    streamer = Streamer(
        worker="energy-0",
        feed="energy",
        kafka=Kafka(bootstrap_servers="kafka:9092"),
        lines=100,
        on_change=lambda: None,
        may_write=lambda: True,
        connect=Broker(oracle).connect,
    )
    await streamer.start()
    while not streamer.kafka_status().reachable:  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0.01)
    streamer.obey(())
    streamer.obey(tuple(_entry(conid, slot) for slot, conid in enumerate(OURS)))
    while not all(contract.flows for contract in streamer._contracts.values()):  # noqa: ASYNC110 - there is no event of it
        await asyncio.sleep(0.01)
    connection = Connection(streamer.subscriber, streamer.subscriber.counters, Timing())
    connection._allow_live = True
    connection._asked = Asked("DU123", Target(ES, "CME"), 1, None)
    sent, seconds = 0, 0.0
    for payloads in Messages(seed):
        oracle.sent(payloads)
        begun = time.thread_time()
        for payload in payloads:
            connection.on_message(payload, time.time_ns())
        seconds += time.thread_time() - begun
        sent += len(payloads)
        if sent // 2000 != (sent - len(payloads)) // 2000:
            await asyncio.sleep(0)
            joiner = connection._messages.joiner
            assert len(joiner._pieces) <= joiner.LARGEST
        if sent >= count:
            break
    assert streamer.subscriber.counters.frames == sent
    assert streamer.subscriber.counters.malformed > sent / 10
    assert len(streamer._contracts[ES].depth.book._rows) <= 10_000
    assert all(not len(contract.held._ticks) for contract in streamer._contracts.values())
    await streamer.close()
    return oracle, seconds


def _entry(conid: int, slot: int) -> Entry:
    facts: dict[str, Any] = {"symbol": "ESZ6", "exchange": "CME", "contract_month": f"20261{slot}", "slot": slot}
    return entries.entry(conid, root="ES", depth=conid == ES, fresh=True, **facts)


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _digits(text: str) -> int | None:
    text = text.partition("@")[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
