"""An API server that keeps Leases, in memory; and a fence that nothing enforces."""

from __future__ import annotations

import asyncio
from typing import Any

from ibfeed_worker.kube.client import KubeError
from support.leases import Leases

NAME = "ib-account-paper-1"


class ApiServer(Leases):
    """``down`` makes every call fail, ``hangs`` after two seconds."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.down = False
        self.hangs = False

    async def read_lease(self, name: str) -> dict[str, Any]:
        await self._answer()
        return await super().read_lease(name)

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        await self._answer()
        return await super().patch_lease(name, body)

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.hangs:
            await asyncio.sleep(2)
        if self.down or self.hangs:
            raise KubeError("away")

    @property
    def holder(self) -> str:
        found: str = self.objects[NAME]["spec"].get("holderIdentity", "")
        return found


class Unarmed:
    def arm(self, at: float) -> None:
        pass

    def disarm(self) -> None:
        pass
