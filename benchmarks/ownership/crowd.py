"""Some of a feed's workers in one process, without gateway, data and Kafka: the real worker's shard client and Lease.

    python -m ownership.crowd FEED < commands

Commands are lines of words: ``start POD UID IP`` (a container starts) and ``kill POD`` (it dies; the API never hears of
it again). Each worker has its own connections, follows its own IbShard and writes its status by the code of the real
one; what becomes of a contract is played: IB's first frame comes after a moment, and Kafka acknowledges at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from ibfeed_api import calls, failsafe_calls, symbology
from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, KafkaStatus, Report, Session, ShardStatus
from ibfeed_api.worker_pod import WORKER_PORT
from ibfeed_worker.account.failsafe import Failsafe
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.kube.client import Kube, KubeError, connect
from ibfeed_worker.shard.status import stamp
from ibfeed_worker.shard.watch import Shard, ShardWatcher
from ibfeed_worker.shard.writer import StatusWriter

NAMESPACE: Final = "default"
FIRST_FRAME_S: Final = (0.1, 0.6)  # IB's, after a subscription


def listed(root: str, months: int) -> list[dict[str, Any]]:
    """What IB lists for a root ``R<number>``: months from January 2031 on, none of which expires during a run."""
    number = int(root[1:])
    dates = [f"{2031 + month // 12}{month % 12 + 1:02d}" for month in range(months)]
    return [
        {
            "conid": 100_000_000 + number * 1_000 + month,
            "root": root,
            "symbol": symbology.symbol(root, date),
            "exchange": "NYMEX",
            "contractMonth": date,
            "lastTradingDay": f"{date}20",
        }
        for month, date in enumerate(dates)
    ]


class Wire:
    """A worker's connection to the API server; once ``cut``, every call of it fails."""

    def __init__(self) -> None:
        self._kube = Kube(connect(), NAMESPACE)
        self.cut = False

    async def read_lease(self, name: str) -> dict[str, Any]:
        self._check()
        return await self._kube.read_lease(name)

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        return await self._kube.patch_lease(name, body)

    async def patch_shard_status(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._check()
        return await self._kube.patch_shard_status(name, body)

    def list_shard(self, name: str) -> tuple[dict[str, Any] | None, str]:
        self._check()
        return self._kube.list_shard(name)

    def watch_shard(self, name: str, since: str) -> Iterator[tuple[str, dict[str, Any]]]:
        self._check()
        return self._kube.watch_shard(name, since)

    def _check(self) -> None:
        if self.cut:
            raise KubeError("this worker is dead")


class NoSwitch:
    """A hundred workers share this process: none may have the kernel end it."""

    def arm(self, at: float) -> None:
        """Nothing is written to Kafka here."""

    def disarm(self) -> None:
        """Nothing was armed."""


class Line:
    """One contract: how far its subscription is."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.framed = False

    @property
    def state(self) -> ContractState:
        if self.entry.state is EntryState.RETIRING:
            return ContractState.RELEASED
        if not self.framed:
            return ContractState.SUBSCRIBING
        return ContractState.WARM if self.entry.state is EntryState.STANDBY else ContractState.PUBLISHING

    def report(self) -> Report:
        """Its numbers move on, as those of a contract with live ticks do."""
        now = time.time()
        return Report(
            conid=self.entry.conid,
            epoch=self.entry.epoch,
            state=self.state,
            event_time=int(now * 1000) if self.framed else None,
            seq=seq_of(self.entry.epoch, 1) if self.framed else None,
            last_tick_time=stamp(now) if self.framed else None,
        )


class Worker:
    """One process of one pod, from its start to its death."""

    def __init__(self, pod: str, uid: str, ip: str) -> None:
        self.pod, self.ip = pod, ip
        self._wire = Wire()
        self._loop = asyncio.get_running_loop()
        self._started_at = stamp(time.time()) or ""
        self._session = Session.STARTING
        self._shard: Shard | None = None
        self._changed = asyncio.Event()
        self._lines: dict[int, Line] = {}
        self._me, self._fence = f"{pod}_{uid}", Fence(NoSwitch(), lambda: None)
        self.failsafe = Failsafe(
            self._wire,
            me=self._me,
            namespace=NAMESPACE,
            spec=lambda: self._shard.spec if self._shard is not None else None,
            fence_is_open=self._fence.is_open,
        )
        self._writer = StatusWriter(self._wire, pod, self._status)
        self._watcher = ShardWatcher(self._wire, pod, self._obey)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._watcher.start()
        self._writer.poke()
        self._tasks = [asyncio.create_task(self._writer.run()), asyncio.create_task(self._serve())]
        for task in self._tasks:
            task.add_done_callback(_must_not_fail)

    def kill(self) -> None:
        self._wire.cut = True
        self._watcher.stop()
        for task in self._tasks:
            task.cancel()

    @property
    def operator_key(self) -> str | None:
        return self._shard.spec.operator_key if self._shard else None

    async def _serve(self) -> None:
        while self._shard is None or self._shard.spec.account is None:
            self._changed.clear()
            await self._changed.wait()
        hold: Leaseholder = await acquire_lease(
            self._wire, self._shard.spec.account.lease, self._me, self._fence, lambda _: None, self.failsafe.calls
        )
        self._session = Session.STREAMING
        self._obey(self._shard)
        await hold.lost.wait()
        logging.error("%s: %s", self.pod, hold.why_lost)
        self._session = Session.RECONNECTING
        self._writer.poke()

    def _obey(self, shard: Shard | None) -> None:
        self._shard = shard
        self._changed.set()
        if shard is None or self._wire.cut or self._session is not Session.STREAMING:
            return
        entries = {entry.conid: entry for entry in shard.spec.contracts}
        for conid in self._lines.keys() - entries.keys():
            del self._lines[conid]
        fresh = [conid for conid in entries if conid not in self._lines]
        for conid, entry in entries.items():
            self._lines.setdefault(conid, Line(entry)).entry = entry
        if fresh:
            self._loop.call_later(random.uniform(*FIRST_FRAME_S), self._framed, fresh)
        self._writer.poke()

    def _framed(self, conids: list[int]) -> None:
        for conid in conids:
            if conid in self._lines:
                self._lines[conid].framed = True
        self._writer.poke()

    def _status(self) -> ShardStatus:
        reports = tuple(line.report() for _, line in sorted(self._lines.items()))
        shard, streaming = self._shard, self._session is Session.STREAMING
        account = shard.spec.account if shard else None
        return ShardStatus(
            observed_generation=shard.generation if shard else 0,
            started_at=self._started_at,
            session=self._session,
            account=account.index if account else None,
            market_data_live=True if streaming else None,
            kafka=KafkaStatus(reachable=True),
            contract_count=sum(report.state is ContractState.PUBLISHING for report in reports),
            key=self.failsafe.key,
            lines=f"{len(reports)}/{shard.spec.lines if shard else 0}",
            last_tick_time=stamp(time.time()) if reports else None,
            contracts=reports,
        )


class Crowd:
    """The workers of this process, by pod."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._servers: dict[str, web.AppRunner] = {}

    async def obey(self, command: str) -> None:
        match command.split():
            case ["start", pod, uid, ip]:
                self._workers[pod] = worker = Worker(pod, uid, ip)
                await self._listen(pod, ip)
                worker.start()
            case ["kill", pod]:
                self._workers.pop(pod).kill()
            case _:
                raise ValueError(command)

    async def _listen(self, pod: str, ip: str) -> None:
        """Answer the operator's questions, as a worker's HTTP server does."""
        if pod in self._servers:
            return

        async def universe(request: web.Request) -> web.Response:
            try:
                calls.verify(
                    request.headers.get("Authorization", "").removeprefix("Bearer "),
                    public_key=self._workers[pod].operator_key,
                    shard=f"{NAMESPACE}/{pod}",
                    path=request.path,
                )
            except calls.CallRefusedError as error:
                return web.json_response({"error": str(error)}, status=401)
            root = request.match_info["root"]
            return web.json_response({"root": root, "contracts": listed(root, int(request.query["months"]))})

        async def failsafe(request: web.Request) -> web.Response:
            try:
                return web.Response(text=await self._workers[pod].failsafe.member.answer(await request.text()))
            except calls.CallRefusedError as error:
                return web.json_response({"error": str(error)}, status=401)

        app = web.Application()
        app.add_routes([web.get("/v1/universe/{root}", universe), web.post(failsafe_calls.PATH, failsafe)])
        runner = self._servers[pod] = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, ip, WORKER_PORT).start()


def _must_not_fail(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logging.critical("a worker has failed", exc_info=error)
        os._exit(1)  # the benchmark sees it at its next command


async def main() -> None:
    crowd = Crowd()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while command := await reader.readline():
        await crowd.obey(command.decode())


if __name__ == "__main__":
    warnings.filterwarnings("ignore")  # the test API server's certificate is its own
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main())
