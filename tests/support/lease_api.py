"""An API server that keeps Leases, in memory; and a fence that nothing enforces."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

from ibfeed_worker.kube.client import ConflictError, KubeError, NotFoundError

NAME = "ib-account-paper-1"


class ApiServer:
    """Leases as an API server keeps them: merge-patches with compare-and-swap. ``down`` makes every call fail."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.down = False
        self.hangs = False
        self._version = 0
        self.create(NAME)

    def create(self, name: str) -> None:
        self.objects[name] = {"metadata": {"name": name, "annotations": {}}, "spec": {}}
        self._bump(self.objects[name])

    async def read_lease(self, name: str) -> dict[str, Any]:
        await self._answer()
        if name not in self.objects:
            raise NotFoundError(name)
        return copy.deepcopy(self.objects[name])

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        await self._answer()
        if name not in self.objects:
            raise NotFoundError(name)
        stored = self.objects[name]
        if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
            raise ConflictError(name)
        stored["spec"] |= body.get("spec", {})
        for key, value in body["metadata"].get("annotations", {}).items():
            stored["metadata"]["annotations"].pop(key, None)
            if value is not None:
                stored["metadata"]["annotations"][key] = value
        self._bump(stored)
        return copy.deepcopy(stored)

    async def _answer(self) -> None:
        await asyncio.sleep(0.01)
        if self.hangs:
            await asyncio.sleep(2)
        if self.down or self.hangs:
            raise KubeError("away")

    def _bump(self, stored: dict[str, Any]) -> None:
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)

    @property
    def holder(self) -> str:
        found: str = self.objects[NAME]["spec"].get("holderIdentity", "")
        return found


class Unarmed:
    def arm(self, at: float) -> None:
        pass

    def disarm(self) -> None:
        pass
