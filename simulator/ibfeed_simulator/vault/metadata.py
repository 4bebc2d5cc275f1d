"""The token endpoint of the instance metadata service (managed identity). It is plain HTTP, as at 169.254.169.254.

``AZURE_POD_IDENTITY_AUTHORITY_HOST`` leads the SDK to another address.
"""

from __future__ import annotations

import time
import uuid
from typing import Final

from aiohttp import web

from ibfeed_simulator.vault.faults import Fault, Faults, Place
from ibfeed_simulator.vault.tokens import LIFETIME_S, Caller, Tokens

SYSTEM_ASSIGNED: Final = "11111111-1111-4111-8111-111111111111"  # the identity of a caller that names none


class Metadata:
    def __init__(self, tokens: Tokens, faults: Faults, *, tenant: str) -> None:
        self._tokens = tokens
        self._faults = faults
        self._tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/metadata/identity/oauth2/token", self._token)]

    async def _token(self, request: web.Request) -> web.Response:
        fault = self._faults.take_fault(Place.METADATA)
        if fault is not None and fault.fault is Fault.METADATA_DOWN:
            return web.json_response({"error": "unknown", "error_description": "Failed"}, status=500)
        if fault is not None:
            return _refusal("Identity not found")
        if request.headers.get("Metadata", "").lower() != "true":
            return _refusal("Required metadata header not specified")
        resource = request.query.get("resource", "")
        if request.query.get("api-version") != "2018-02-01" or not resource:
            return _refusal("Required parameter api-version or resource is missing or not supported")
        client = request.query.get("client_id", SYSTEM_ASSIGNED)
        now = int(time.time())
        caller = Caller(app=client, object=str(uuid.uuid5(uuid.NAMESPACE_URL, client)), tenant=self._tenant)
        return web.json_response(
            {
                "access_token": self._tokens.issue(caller, resource),
                "client_id": client,
                "expires_in": str(LIFETIME_S),
                "expires_on": str(now + LIFETIME_S),
                "ext_expires_in": str(LIFETIME_S),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            }
        )


def _refusal(text: str) -> web.Response:
    return web.json_response({"error": "invalid_request", "error_description": text}, status=400)
