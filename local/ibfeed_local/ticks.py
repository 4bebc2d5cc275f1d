"""Ticks from Kafka, one a line: python -m ibfeed_local.ticks BOOTSTRAP [SECONDS]. It needs the virtual environment.

Exit code 0 if any tick was seen, or if it was interrupted.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from decimal import Decimal

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

TOPIC = "ticklast"
COLUMNS = "{:<10} {:>14} {:>8}  {:<12} {:>9}"


def main(arguments: list[str]) -> int:
    """Print the ticks that arrive from now on."""
    seconds = float(arguments[1]) if len(arguments) > 1 else 0.0
    consumer = Consumer({"bootstrap.servers": arguments[0], "group.id": "ibfeed-ticks", "enable.auto.commit": False})
    try:
        found = consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        if not found:
            print(f"there is no topic {TOPIC} on {arguments[0]} yet: is a feed streaming?", file=sys.stderr)
            return 1
        consumer.assign([TopicPartition(TOPIC, number, OFFSET_END) for number in found])
        return 0 if _print(consumer, seconds) else 1
    except KafkaException as error:
        print(f"Kafka at {arguments[0]}: {error.args[0].str()}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        consumer.close()


def _print(consumer: Consumer, seconds: float) -> int:
    """Print ticks for so many seconds (0: for ever). Return their number."""
    print(COLUMNS.format("symbol", "price", "size", "time (UTC)", "partition"))
    deadline = time.monotonic() + seconds
    seen = 0
    while not seconds or time.monotonic() < deadline:
        message = consumer.poll(0.2)
        value = None if message is None or message.error() else message.value()
        if message is None or value is None:
            continue
        tick = json.loads(value, parse_float=Decimal)
        moment = dt.datetime.fromtimestamp(tick["event_time"] / 1000, dt.UTC).strftime("%H:%M:%S.%f")[:-3]
        line = COLUMNS.format(tick["symbol"], str(tick["price"]), str(tick["size"]), moment, message.partition())
        print(line, flush=True)
        seen += 1
    return seen


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
