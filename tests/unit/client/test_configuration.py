"""A file says what to run. Its errors name the place and what to write, and never hold a secret."""

from __future__ import annotations

import pytest

import ibfeed
from ibfeed.configuration import AsyncioTable, KafkaTable, RedisTable, RegistryTable, parse

WHOLE = """
[connector]
normaliser = "ibfeed.connectors.kraken:Kraken"
settings = {symbols = ["BTC/USD", "${PAIR}"], depth = 10}

[queue]
kind = "redis"
url = "redis://desk:${PASSWORD}@redis:6379/0"
stream = "kraken"
group = "desk"

[handler]
type = "desk:Printer"
"""
SECRETS = {"PASSWORD": "s3cret", "PAIR": "ETH/USD"}


def test_file_is_read_and_its_variables_are_set() -> None:
    found = parse(WHOLE, SECRETS, "desk.toml")
    assert found.connector is not None
    assert found.connector.settings == {"symbols": ["BTC/USD", "ETH/USD"], "depth": 10}
    assert isinstance(found.queue, RedisTable)
    assert found.queue.url == "redis://desk:s3cret@redis:6379/0"
    assert "s3cret" not in repr(found)
    assert "s3cret" not in repr(found.queue)


def test_queue_of_the_process_is_the_default() -> None:
    found = parse('[feed]\nservers = "kafka:9092"\n[handler]\ntype = "desk:Printer"', {}, "desk.toml")
    assert isinstance(found.queue, AsyncioTable)


def test_feed_in_avro_names_its_registry() -> None:
    text = '[feed]\nservers = "k:9"\nschema_registry = {url = "https://r", username = "desk", password = "${PASSWORD}"}'
    found = parse(f'{text}\n[handler]\ntype = "desk:Printer"', {"PASSWORD": "correct-horse"}, "desk.toml")
    assert found.feed is not None
    assert found.feed.schema_registry == RegistryTable("https://r", "desk", "correct-horse")
    assert "correct-horse" not in repr(found.feed)


def test_one_end_alone_is_enough_with_a_shared_queue() -> None:
    queue = '[queue]\nkind = "kafka"\nservers = "kafka:9092"\ntopic = "queue"\ngroup = "desk"\n'
    assert isinstance(parse(f'{queue}[handler]\ntype = "a:B"', {}, "x").queue, KafkaTable)
    assert isinstance(parse(f'{queue}[feed]\nservers = "k:9"', {}, "x").queue, KafkaTable)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", r"desk\.toml has nothing to run: add \[feed\] or \[connector\]"),
        ("[feed", r"desk\.toml is no TOML"),
        ("[feed]", r"desk\.toml: .*missing required field `servers` - at `\$\.feed`"),
        ('[feed]\nserver = "x"', r"unknown field `server`"),
        ('[feed]\nservers = "x"', r"only one end of a queue: add the other one"),
        ('[feed]\nservers = "x"\n[connector]\nnormaliser = "a:B"', r"both \[feed\] and \[connector\]"),
        ('[queue]\nkind = "rabbit"', r"Invalid value 'rabbit' - at `\$\.queue\.kind`"),
        (WHOLE, r"desk\.toml: connector\.settings\.symbols needs the environment variable PAIR: set it"),
    ],
)
def test_error_names_the_place(text: str, error: str) -> None:
    with pytest.raises(ibfeed.ConfigurationError, match=error):
        parse(text, {}, "desk.toml")


def test_value_of_a_variable_is_never_parsed() -> None:
    found = parse(WHOLE, SECRETS | {"PASSWORD": '"\n[feed]\n${PAIR}'}, "desk.toml")
    assert isinstance(found.queue, RedisTable)
    assert found.queue.url == 'redis://desk:"\n[feed]\n${PAIR}@redis:6379/0'
