"""Messages of Kafka as updates of the hot store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ibfeed.errors import RecordError
from ibfeed.events import Contract
from ibfeed.records import UNDECODABLE, Message, check_schema, origin_of, place_of
from ibfeed.stream import Topics
from ibfeed_platform.hot_store.keys import Keys
from ibfeed_platform.hot_store.updates import Origin, Update, book_update, status_update, tick_update
from ibfeed_platform.sinks.values import Values


@dataclass(frozen=True, slots=True)
class Decoder:
    """The decoding of a feed's records into updates.

    Args:
        keys: names of the keys; records of other feeds are left out.
        contracts: reference data by conid.
        values: the reader of values in Avro.
    """

    topics: Topics
    keys: Keys
    contracts: Mapping[int, Contract]
    values: Values

    def update_of(self, message: Message) -> Update | None:
        """Return the update of a message; None if it is of another feed, or of no topic that has values.

        Raises RecordError if it cannot be read, RegistryUnreachableError, or SinkError if the registry refuses.
        """
        kind = {self.topics.ticks: "ticks", self.topics.books: "books", self.topics.events: "events"}.get(
            message.topic()
        )
        if kind is None:
            return None
        told = origin_of(message)
        if told.feed != self.keys.feed:
            return None
        check_schema(told.schema, kind, message)
        try:
            value = self.values.plain(message.value())
        except RecordError as error:
            raise RecordError(f"{place_of(message)}: {error}") from None
        try:
            if kind == "events":
                return status_update(value, self.keys)
            if told.epoch is None:
                raise RecordError(f"{place_of(message)} has no header 'epoch': is the topic ibfeed's own?")
            origin = Origin(told.epoch, told.worker, message.partition() or 0, message.offset() or 0)
            contract = self.contracts.get(int(message.key()))
            make = tick_update if kind == "ticks" else book_update
            return make(value, origin, contract, self.keys)
        except UNDECODABLE as error:
            raise RecordError(f"{place_of(message)} is not as schema {told.schema} says: {error}") from None
