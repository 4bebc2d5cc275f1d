"""The operator in the soak's process: all of it but kopf and the election, over the dictionary in the API's place."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Final
from unittest import mock

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from datapath.memory_api import Objects, OperatorsCluster
from ibfeed_api.calls import Signer
from ibfeed_operator.controller import manager
from ibfeed_operator.controller.dependencies import Dependencies, Settings
from ibfeed_operator.controller.failsafe import failsafe_member
from ibfeed_operator.controller.manager import Manager
from ibfeed_operator.controller.snapshot import Informers
from ibfeed_operator.main import wake

_LOOK_S: Final = 10.0  # at the latest; what changes wakes it at once


@contextlib.asynccontextmanager
async def operating(objects: Objects, namespace: str, ports: Mapping[str, int]) -> AsyncIterator[None]:
    """``ports``: a pod's address, a name -> where its worker listens on 127.0.0.1."""
    cluster = OperatorsCluster(objects)
    views = Informers(cluster, namespace)
    settings = Settings(worker_image="none", operator_namespace=namespace, namespace=namespace)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_ToWorkers(ports))) as http:
        failsafe = failsafe_member(cluster, views, "operator_u", Signer())
        shared = Dependencies(kube=cluster, informers=views, http=http, settings=settings, failsafe=failsafe)
        found = Manager(shared)
        wake(found, views)
        with mock.patch.object(manager, "LOOK_S", _LOOK_S):
            running = [asyncio.create_task(views.run()), asyncio.create_task(found.run())]
            try:
                yield
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)


class _ToWorkers(AbstractResolver):
    """Pods have addresses of their own; here they are ports of one."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._ports[host],
                family=socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None: ...
