"""Leases in memory, as an API server keeps them: merge-patches with compare-and-swap."""

from __future__ import annotations

from typing import Any

from ibfeed_worker.kube.client import ConflictError, NotFoundError


class Leases:
    def __init__(self, *names: str) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self._version = 0
        for name in names:
            self.create(name)

    def create(self, name: str) -> None:
        self.objects[name] = {"metadata": {"name": name, "annotations": {}}, "spec": {}}
        self._bump(name)

    async def read_lease(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise NotFoundError(name)
        return self._copy(name)

    async def patch_lease(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if name not in self.objects:
            raise NotFoundError(name)
        stored = self.objects[name]
        if body["metadata"].get("resourceVersion") not in (None, stored["metadata"]["resourceVersion"]):
            raise ConflictError(name)
        stored["spec"] |= body.get("spec", {})
        for key, value in body["metadata"].get("annotations", {}).items():
            stored["metadata"]["annotations"].pop(key, None)
            if value is not None:
                stored["metadata"]["annotations"][key] = value
        self._bump(name)
        return self._copy(name)

    def annotations(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self.objects[name]["metadata"]["annotations"]
        return found

    def _copy(self, name: str) -> dict[str, Any]:
        stored = self.objects[name]
        metadata = {**stored["metadata"], "annotations": dict(stored["metadata"]["annotations"])}
        return {"metadata": metadata, "spec": dict(stored["spec"])}

    def _bump(self, name: str) -> None:
        self._version += 1
        self.objects[name]["metadata"]["resourceVersion"] = str(self._version)
