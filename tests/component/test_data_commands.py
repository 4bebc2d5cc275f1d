"""``ibfeed tail``, ``book`` and ``gaps`` as processes on a real Kafka, which an IbFeed names; Ctrl-C ends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.own_topics import OwnTopics
from support.reader_records import AT_MS, FakeMessage, change, feed_event, tick

COMMAND = (sys.executable, "-c", "from ibfeed.cli.main import main; main()")


@pytest.fixture
def topics() -> Iterator[OwnTopics]:
    with OwnTopics() as topics:
        yield topics


@pytest.fixture
def environment(topics: OwnTopics, tmp_path: Path) -> Iterator[dict[str, str]]:
    """A kubeconfig of an API server that knows one IbFeed, which writes to the topics."""
    names = {"ticklast": topics.topics.ticks, "l2Data": topics.topics.books, "feedEvents": topics.topics.events}
    kafka = {"bootstrapServers": topics.servers, "topics": {field: {"name": name} for field, name in names.items()}}
    contracts = [{"symbol": "CLZ6", "root": "CL", "depth": True}, {"symbol": "CLF7", "root": "CL"}]
    feed: dict[str, Any] = {
        "metadata": {"name": "energy"},
        "spec": {"kafka": kafka},
        "status": {"contracts": contracts},
    }
    body = json.dumps({"items": [feed]}).encode()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "desk"}}],
    }
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    yield {"KUBECONFIG": str(file), "PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    server.shutdown()
    server.server_close()


@asynccontextmanager
async def running(environment: dict[str, str], *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command, and an end of it by Ctrl-C without complaints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, env=environment, stdout=pipe, stderr=pipe)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
        assert (process.returncode, errors) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()


async def answered(
    process: asyncio.subprocess.Process, topics: OwnTopics, messages: list[list[FakeMessage]]
) -> list[str]:
    """Write one batch after the other until the command has printed a line; return it and those that came with it."""
    assert process.stdout is not None
    for batch in messages:
        topics.write(batch)
        try:
            return [(await asyncio.wait_for(process.stdout.readline(), 1.0)).decode().rstrip()]
        except TimeoutError:
            continue
    raise AssertionError("it prints nothing")


async def test_tail_prints_ticks_as_they_come(topics: OwnTopics, environment: dict[str, str]) -> None:
    async with running(environment, "tail", "CLZ6") as process:
        (line,) = await answered(process, topics, [[tick(count)] for count in range(1, 25)])
    assert "CLZ6" in line
    assert "71.89 x 12 / 71.91 x 9" in line


async def test_tail_by_an_address_prints_the_records(topics: OwnTopics) -> None:
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    words = ("tail", "CLZ6", "--kafka", topics.servers, "--topic", topics.topics.ticks or "", "-o", "json")
    async with running(environment, *words) as process:
        (line,) = await answered(process, topics, [[tick(count)] for count in range(1, 25)])
    assert json.loads(line)["price"] == 71.9


async def test_book_prints_each_change(topics: OwnTopics, environment: dict[str, str]) -> None:
    first = change("snapshot", 1, bids=[("71.89", "4")], asks=[("71.91", "7")])
    async with running(environment, "book", "CLZ6") as process:
        (line,) = await answered(process, topics, [[first], *[[] for _ in range(24)]])
    assert line.endswith("4@71.89 | 71.91@7")


async def test_gaps_are_listed_with_cause_and_total(topics: OwnTopics, environment: dict[str, str]) -> None:
    more: dict[str, Any] = {
        "conid": 7,
        "symbol": "CLZ6",
        "from_ms": AT_MS,
        "to_ms": AT_MS + 4500,
        "detail": "worker energy-1 was lost",
    }
    topics.write([feed_event("gap", **more)])
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "gaps", "--since", "10m", env=environment, stdout=asyncio.subprocess.PIPE
    )
    output = (await asyncio.wait_for(process.communicate(), 30))[0].decode()
    assert process.returncode == 0
    assert "worker energy-1 was lost" in output
    assert [line.split() for line in output.splitlines()][-1] == ["CLZ6", "1", "4.5"]


async def test_contract_without_depth_is_refused(environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "book", "CLF7", env=environment, stderr=asyncio.subprocess.PIPE
    )
    errors = (await asyncio.wait_for(process.communicate(), 30))[1].decode()
    assert (process.returncode, errors) == (
        1,
        "ERROR: CLF7 has no order book: add depth to root CL of IbFeed energy\n",
    )
