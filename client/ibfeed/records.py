"""The decoding of records. ``schemas/`` of the ibfeed repository documents them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from ibfeed.errors import RecordError, UnknownSchemaError
from ibfeed.events import BookChange, Contract, Gap, Status, Tick

SCHEMAS: Final[Mapping[str, frozenset[str]]] = {
    "ticks": frozenset({"ticklast/1", "ticklast/2"}),
    "books": frozenset({"l2-data/1", "l2-data/2"}),
    "events": frozenset({"feed-events/1", "feed-events/2"}),
    "contracts": frozenset({"contracts/1"}),
}
_KINDS: Final = frozenset({"assigned", "released", "session", "market_data_type", "alive"})
# A value that is no JSON, or is not as the schema says; None; nesting without end.
UNDECODABLE: Final = (ValueError, TypeError, RecursionError)

Headers = Sequence[tuple[str, str | bytes | None]]


class Message(Protocol):
    """A record as the Kafka client hands it over, or an error in the place of one."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...
    def timestamp(self) -> tuple[int, int]: ...
    def error(self) -> Any: ...


class FeedEvent(msgspec.Struct, frozen=True, gc=False):
    """The value of a record on ``feed-events``."""

    kind: str
    feed: str
    worker: str
    at_ms: int
    conid: int | None = None
    symbol: str | None = None
    epoch: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    detail: str = ""

    def public(self) -> Gap | Status | None:
        """Return the event for the user; None if this package does not know its kind."""
        if self.kind == "gap":
            return Gap(
                conid=self.conid,
                symbol=self.symbol,
                from_ms=self.from_ms,
                to_ms=self.to_ms,
                reason=self.detail,
                at_ms=self.at_ms,
                feed=self.feed,
                worker=self.worker,
            )
        if self.kind not in _KINDS:
            return None
        return Status(
            kind=self.kind,
            feed=self.feed,
            worker=self.worker,
            at_ms=self.at_ms,
            conid=self.conid,
            symbol=self.symbol,
            epoch=self.epoch,
            detail=self.detail,
        )


class _ContractRecord(msgspec.Struct, frozen=True, gc=False):
    conid: int
    symbol: str
    root: str
    exchange: str | None
    trading_class: str | None
    multiplier: Decimal | None
    currency: str | None
    min_price_increment: Decimal | None
    contract_month: str | None
    first_notice_day: str | None
    last_trading_day: str | None
    trading_hours: tuple[tuple[int, int], ...] | None
    feed: str
    market_data_type: str | None
    timeliness: str | None
    at_ms: int


decode_tick: Final = msgspec.json.Decoder(Tick).decode
decode_change: Final = msgspec.json.Decoder(BookChange).decode
decode_event: Final = msgspec.json.Decoder(FeedEvent).decode
_decode_contract: Final = msgspec.json.Decoder(_ContractRecord).decode


def decode_contract(value: bytes) -> Contract:
    """Return the contract of a record's value. Raises one of ``UNDECODABLE``."""
    fields = msgspec.structs.asdict(_decode_contract(value))
    for name in ("first_notice_day", "last_trading_day"):
        fields[name] = _day(fields[name])
    return Contract(**fields)


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))


class Origin(msgspec.Struct, frozen=True, gc=False):
    """The origin of a record, as its headers say."""

    schema: str
    worker: str
    epoch: int | None

    @property
    def feed(self) -> str:
        """The feed that wrote the record. Workers are called after it: energy-0."""
        return self.worker.rpartition("-")[0]


def origin_of(message: Message) -> Origin:
    """Return the origin of a record. Raises RecordError if its headers are not those of ibfeed."""
    found: dict[str, str] = {}
    try:
        for name, value in message.headers() or ():
            found[name] = value.decode() if isinstance(value, bytes) else str(value)
        epoch = found.get("epoch")
        return Origin(found["schema"], found["worker"], None if epoch is None else int(epoch))
    except (ValueError, KeyError) as error:
        raise RecordError(f"{place_of(message)} has no header {error} of ibfeed: is the topic ibfeed's own?") from None


def place_of(message: Message) -> str:
    """Return where a record is, for a person to read."""
    return f"the record {message.topic()}[{message.partition()}]@{message.offset()}"


def check_schema(schema: str, kind: str, message: Message) -> None:
    """Raise UnknownSchemaError if this package does not know the schema version."""
    if schema not in SCHEMAS[kind]:
        known = ", ".join(sorted(SCHEMAS[kind]))
        raise UnknownSchemaError(
            f"{place_of(message)} has schema {schema}, and this release of ibfeed knows {known}:"
            " upgrade it, or name the right topic"
        )
