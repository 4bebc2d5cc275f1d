"""Whether a feed notices its sinks: a worker's latency while every sink is there, hung, or fails.

A worker of the real code gets 200 updates a second from a stand-in of IB, and a consumer takes them from Kafka. All
sinks read the same topic. The states take turns, with windows without any sink between them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from confluent_kafka.admin import AdminClient

from datapath.laps import Track, ours
from datapath.pace import Window, window
from datapath.verdict import median
from downstream.stage import GROUP, Stage, running
from ibfeed import Topics
from ibfeed.clickhouse import Server
from ibfeed.clickhouse.migration import Step
from support.broker import Broker
from support.redis import RedisServer

ROUNDS: Final = int(os.environ.get("FEED_ROUNDS", "3"))
SICK: Final = ("hung", "failing")
_JOIN_S: Final = 60.0
Say = Callable[[str], None]


def measure(say: Say) -> dict[str, Any]:
    """Keys ``feed_latency_ratio``, ``feed_lost``, and ``feed_latency_ms`` of each state of the sinks.

    The ratio is that of the medians of p50: the worse one of hung and failing sinks over no sinks.
    """
    found: dict[str, list[Window]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Broker(folder)
        try:
            asyncio.run(broker.start())
            track = Track(folder, broker.servers)
            say(f"warming up: {window(track, ours(), 'feed-first')}")
            for number in range(ROUNDS):
                for state in ("none", *SICK):
                    beside = partial(_sinks, state, broker, folder / f"{state}-{number}")
                    found[state].append(window(track, ours(), f"feed-{state}-{number}", beside))
                    say(f"sinks {state}: {found[state][-1]}")
        finally:
            broker.kill()
    p50 = {state: median([one.p50 for one in windows]) for state, windows in found.items()}
    p99 = {state: median([one.p99 for one in windows]) for state, windows in found.items()}
    return {
        "feed_latency_ratio": round(max(p50[state] for state in SICK) / p50["none"], 3),
        "feed_lost": 0,  # a window whose updates do not all come ends the phase
        "feed_latency_ms": {state: {"p50": round(p50[state], 2), "p99": round(p99[state], 2)} for state in found},
    }


@contextmanager
def _sinks(state: str, broker: Broker, folder: Path, topic: str) -> Iterator[None]:
    """Redis's and ClickHouse's sink on the topic, in a state. ``none``: there is none.

    hung: their processes are stopped. failing: Redis is gone, and so is the table that ClickHouse writes to; both try
    again all the time.
    """
    if state == "none":
        yield
        return
    folder.mkdir()
    # The worker under test writes neither books nor contracts; the tables need a topic of contracts, so one is as good.
    on = Stage(broker, Topics(topic, None, f"{topic}-events", f"{topic}-books"), folder)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folder / "redis"))
        sink = stack.enter_context(running(on.redis_sink(redis.url)))
        engine = stack.enter_context(on.clickhouse())
        _await_members(broker.servers, (GROUP, on.layout.group_of("market_tick")))
        if state == "hung":
            sink.signal(signal.SIGSTOP)
            engine.signal(signal.SIGSTOP)
            stack.callback(engine.signal, signal.SIGCONT)
        else:
            redis.kill()
            with closing(Server(engine.access())) as server:
                server.run(Step(f"DROP TABLE {on.layout.database}.market_tick_rows SYNC"))
        yield


def _await_members(servers: str, groups: Sequence[str]) -> None:
    """Wait until each group has a member that has partitions."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 2})
    deadline = time.monotonic() + _JOIN_S
    for group in groups:
        while True:
            found = admin.describe_consumer_groups([group])[group].result(30)
            if any(member.assignment.topic_partitions for member in found.members):
                break
            assert time.monotonic() < deadline, f"group {group} has no member"
            time.sleep(0.2)
