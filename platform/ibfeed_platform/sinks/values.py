"""The values of a feed's records as JSON, whichever of the two formats they have in Kafka."""

from __future__ import annotations

from typing import Final

from ibfeed import RecordError, RegistryError, RegistryUnreachableError, SchemaRegistry
from ibfeed.avro import AvroReader, is_avro
from ibfeed_platform.sinks.progress import SinkError


class Values:
    """The reader of values. It asks the registry for each schema once, so that one that goes away stops nothing."""

    def __init__(self, registry: SchemaRegistry | None) -> None:
        self._avro: Final = None if registry is None else AvroReader(registry.schema)

    def plain(self, value: bytes) -> bytes:
        """Return JSON.

        Raises:
            RecordError: the value is Avro, and cannot be decoded.
            RegistryUnreachableError: its schema is not known yet, and the registry does not answer.
            SinkError: the registry refuses.
        """
        if not is_avro(value):
            return value
        if self._avro is None:
            raise RecordError("it is Avro: name its registry as spec.kafka.schemaRegistry of the IbFeed")
        try:
            return self._avro.decode(value)
        except RegistryUnreachableError:
            raise
        except RegistryError as error:
            raise SinkError(f"{error}; see spec.kafka.schemaRegistry of the IbFeed") from None


def told(error: RegistryUnreachableError) -> str:
    """Return the text of a registry that is away."""
    return f"{error}; it is tried again, and the records wait in Kafka"
