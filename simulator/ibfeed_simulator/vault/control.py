"""The control API: ``GET|POST|DELETE /control/faults``, ``POST /control/tokens``, ``GET /healthz``.

``POST /control/tokens {"resource": …}`` returns a developer's own token, as ``az account get-access-token`` does.
"""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from ibfeed_simulator.vault.faults import FaultError, Faults
from ibfeed_simulator.vault.tokens import Caller, Tokens

_DEVELOPER = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"  # the Azure CLI's own application id


class Control:
    def __init__(self, tokens: Tokens, faults: Faults, *, tenant: str) -> None:
        self._tokens = tokens
        self._faults = faults
        self._tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/control/faults", self._faults_on),
            web.post("/control/faults", self._set_fault),
            web.delete("/control/faults", self._clear_faults),
            web.post("/control/tokens", self._issue),
            web.get("/healthz", self._healthz),
        ]

    async def _faults_on(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(active) for active in self._faults.active])

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            document = await request.json()
            return web.json_response(asdict(self._faults.set(document)))
        except (FaultError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)

    async def _issue(self, request: web.Request) -> web.Response:
        try:
            resource = str((await request.json())["resource"])
        except (KeyError, TypeError, ValueError):
            return web.json_response({"error": 'give {"resource": "https://…"}'}, status=400)
        caller = Caller(app=_DEVELOPER, object="22222222-2222-4222-8222-222222222222", tenant=self._tenant)
        return web.json_response({"accessToken": self._tokens.issue(caller, resource)})

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok")
