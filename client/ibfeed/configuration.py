"""The file of ``ibfeed run``: a source of events, a queue, and a handler, each declared by a table of TOML.

::

    [connector]                                        # or [feed], the reader of a feed; none: only handle
    normaliser = "ibfeed.connectors.kraken:Kraken"
    settings = {symbols = ["BTC/USD"], depth = 10}

    [queue]
    kind = "redis"                                     # or "asyncio", "kafka"
    url = "rediss://desk:${REDIS_PASSWORD}@redis:6379/0"
    stream = "kraken"
    group = "desk"

    [handler]                                          # none: only publish
    type = "desk:Printer"

``${NAME}`` in a text is the value of an environment variable, so no secret has to be in the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ibfeed.errors import ConfigurationError

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    def __repr__(self) -> str:
        """Show no value, since it may be a secret."""
        return f"{type(self).__name__}(...)"


class RegistryTable(_Table, frozen=True):
    """The schema registry of a feed that writes Avro. The keys are the arguments of ``ibfeed.SchemaRegistry``."""

    url: str
    username: str = ""
    password: str = ""
    ca: str = ""


class FeedTable(_Table, frozen=True):
    """The reader of a feed. The keys are arguments of ``ibfeed.read``; ``topics`` are those of ``ibfeed.Topics``."""

    servers: str
    feed: str | None = None
    group: str | None = None
    symbols: list[str] = []
    roots: list[str] = []
    topics: dict[str, str] = {}
    schema_registry: RegistryTable | None = None
    config: dict[str, str | int | bool] = {}


class ConnectorTable(_Table, frozen=True):
    """A connector: the import path of its normaliser, and the arguments of that."""

    normaliser: str
    settings: dict[str, Any] = {}


class HandlerTable(_Table, frozen=True):
    """The import path of an event handler, and its arguments."""

    type: str
    settings: dict[str, Any] = {}


class AsyncioTable(_Table, frozen=True, tag_field="kind", tag="asyncio"):
    """A queue in this process."""

    room: int = 10_000


class KafkaTable(_Table, frozen=True, tag_field="kind", tag="kafka"):
    """A queue in Kafka. The keys are the arguments of ``KafkaQueue``."""

    servers: str
    topic: str
    group: str
    room: int = 10_000
    config: dict[str, str | int | bool] = {}


class RedisTable(_Table, frozen=True, tag_field="kind", tag="redis"):
    """A queue in Redis. The keys are the arguments of ``RedisQueue``."""

    url: str
    stream: str
    group: str
    room: int = 10_000


class Configuration(_Table, frozen=True):
    """The whole file."""

    queue: AsyncioTable | KafkaTable | RedisTable = AsyncioTable()
    feed: FeedTable | None = None
    connector: ConnectorTable | None = None
    handler: HandlerTable | None = None


def parse(text: str, variables: Mapping[str, str], name: str) -> Configuration:
    """Return the configuration that a text holds.

    Args:
        text: the file's.
        variables: of the environment.
        name: of the file, for errors.

    Raises:
        ConfigurationError: the text says the file, the place in it, and what is wrong. It holds no value.
    """
    try:
        document = tomllib.loads(text)
        # At first as it is written, so that an error cannot show the value of a variable.
        found = msgspec.convert(document, Configuration)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name} is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{name}: {error}, where $ is the file; see ibfeed.configuration for its keys"
        ) from None
    if found.feed is not None and found.connector is not None:
        raise ConfigurationError(f"{name} has both [feed] and [connector]: write a file for each")
    if found.feed is None and found.connector is None and found.handler is None:
        raise ConfigurationError(f"{name} has nothing to run: add [feed] or [connector], and [handler]")
    alone = (found.feed is None and found.connector is None) or found.handler is None
    if alone and isinstance(found.queue, AsyncioTable):
        raise ConfigurationError(
            f'{name} has only one end of a queue: add the other one, or share a queue of kind "kafka" or "redis"'
        )
    return msgspec.convert(_substituted(document, variables, f"{name}: "), Configuration)


def _substituted(value: Any, variables: Mapping[str, str], place: str) -> Any:
    """Return a value in which the variables of each text are replaced."""
    if isinstance(value, dict):
        return {key: _substituted(inner, variables, f"{place}{key}.") for key, inner in value.items()}
    if isinstance(value, list):
        return [_substituted(inner, variables, place) for inner in value]
    if not isinstance(value, str):
        return value
    missing = [name for name in _VARIABLE.findall(value) if name not in variables]
    if missing:
        raise ConfigurationError(f"{place.rstrip('.')} needs the environment variable {missing[0]}: set it")
    return _VARIABLE.sub(lambda found: variables[found[1]], value)
