"""Frames of a real websocket are recorded beside the stream, and give the same ticks once more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from component.scripted_gateway import Gateway, entry, full, now_ms, send, serving, streaming, working
from ibfeed.recording import files, frames
from ibfeed.recording.blocks import Block
from ibfeed.recording.frames import Direction, Frames
from ibfeed_api.feed import Kafka
from ibfeed_worker.recording.frame_recorder import FrameRecorder
from ibfeed_worker.renormalise.stream import Renormaliser
from support.fake_broker import FakeBroker

TICKS = 50


def recorded(folder: Path) -> list[Frames]:
    return [
        frames.decode(block) for path in files.find(folder) for block in files.read(path) if isinstance(block, Block)
    ]


def without_seq(value: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.json.decode(value)
    return {name: field for name, field in fields.items() if name != "seq"}


async def test_frames_of_a_websocket_give_the_same_ticks_again(tmp_path: Path) -> None:
    async def script(gateway: Gateway, socket: web.WebSocketResponse) -> None:
        await gateway.greet(socket)
        await gateway.hears("smd+", 2)
        start = now_ms()
        for conid in (1, 2):
            await send(socket, full(conid, start))
        for number in range(1, TICKS):
            fields = {"31": f"{72 + number / 100:.2f}", "7762": str(90_000 + number)}
            frame = {"topic": f"smd+{1 + number % 2}", "conid": 1 + number % 2, "_updated": start + number, **fields}
            await send(socket, frame)
        await asyncio.Event().wait()

    broker = FakeBroker()
    recorder = FrameRecorder(tmp_path, "test-0", 1024**3)
    async with (
        serving(script) as (_, link),
        working(Kafka(bootstrap_servers="none:9092"), None, broker.connect) as worker,
    ):
        recorder.start()
        worker.streamer.subscriber.recorder = recorder
        await worker.reachable()
        worker.streamer.obey((entry(1, 0), entry(2, 1)))
        async with streaming(worker, link):
            await worker.until(lambda: len(broker.ticks()) == TICKS + 1)
        await asyncio.to_thread(recorder.close)

    found = recorded(tmp_path)
    sent = [text for block in found for way, text in zip(block.directions, block.payloads, strict=True) if way]
    assert [text.partition(b"+{")[0] for text in sent if text.startswith(b"smd")] == [b"smd+1", b"smd+2"]
    assert all(way in (Direction.RECEIVED, Direction.SENT) for block in found for way in block.directions)
    received = [text for block in found for way, text in zip(block.directions, block.payloads, strict=True) if not way]
    assert sum(json.loads(text).get("topic", "").startswith("smd+") for text in received) == TICKS + 1

    again = Renormaliser({1: "CLZ6", 2: "CLZ6"}, frozenset())
    again.opened()
    were = [without_seq(record.raw) for record in broker.produced if record.topic == "ticklast"]
    assert [without_seq(value) for value in again.values(found)] == were
