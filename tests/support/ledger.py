"""The history of all IbShards from the API server, version by version, with the rules for each version."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import yaml

from support.control_plane import ADMIN, ControlPlane
from support.hollow import SHARDS


class Ledger:
    """The history. ``faults`` are two owners at once, an epoch that was given twice, or one that fell.

    One watch brings the changes of all shards in the order in which they were made. So each is a state of the cluster.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.versions = 0
        self._shards: dict[str, dict[str, Any]] = {}
        self._given: dict[tuple[str, int], dict[int, str]] = defaultdict(dict)  # feed, conid -> epoch -> shard

    def see(self, kind: str, shard: dict[str, Any]) -> None:
        name, feed = shard["metadata"]["name"], shard["spec"]["feed"]
        self.versions += 1
        before = {entry["conid"]: entry["epoch"] for entry in self._shards.get(name, {}).get("contracts", ())}
        if kind == "DELETED":
            self._shards.pop(name, None)
            return
        self._shards[name] = shard["spec"]
        for entry in shard["spec"].get("contracts", ()):
            conid, epoch = entry["conid"], entry["epoch"]
            given = self._given[feed, conid]
            if before.get(conid) != epoch:
                if given and epoch <= max(given):
                    self.faults.append(f"{name} gets {conid} under epoch {epoch}, after {max(given)}")
                given[epoch] = name
            holders = [
                other
                for other, spec in self._shards.items()
                if spec["feed"] == feed
                for item in spec.get("contracts", ())
                if item["conid"] == conid and item["state"] == "Active"
            ]
            if len(holders) > 1:
                self.faults.append(f"{conid} is Active at {holders}")


@contextlib.asynccontextmanager
async def ledger(plane: ControlPlane) -> AsyncIterator[Ledger]:
    """Keep a ledger from now on."""
    config = yaml.safe_load(plane.kubeconfig(ADMIN).read_text())
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    book = Ledger()
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"},
        connector=aiohttp.TCPConnector(ssl=False),
        timeout=aiohttp.ClientTimeout(total=None),
        read_bufsize=2**21,
    ) as session:
        while True:  # a new kind is not served at once
            async with session.get(server + SHARDS) as answer:
                listed = await answer.json()
            if answer.status == 200:
                break
            await asyncio.sleep(0.2)
        for shard in listed["items"]:
            book.see("ADDED", shard)
        keeping = asyncio.create_task(_keep(book, session, server + SHARDS, listed["metadata"]["resourceVersion"]))
        try:
            yield book
            if keeping.done():
                raise AssertionError("the ledger was not kept") from keeping.exception()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _keep(book: Ledger, session: aiohttp.ClientSession, url: str, version: str) -> None:
    """Watch, and go on when the API server ends a watch, as it does when a kind is defined."""
    while True:
        async with session.get(url, params={"watch": "true", "resourceVersion": version}) as answer:
            async for line in answer.content:
                event = json.loads(line)
                assert event["type"] != "ERROR", event
                version = event["object"]["metadata"]["resourceVersion"]
                book.see(event["type"], event["object"])
