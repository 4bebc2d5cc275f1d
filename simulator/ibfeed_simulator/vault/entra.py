"""The Entra token endpoint, as far as workload identity and its discovery need it.

The federated token's claims are checked. Its signature is not, because the stand-in cannot reach the cluster's keys.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from typing import Any, Final

from aiohttp import web

from ibfeed_simulator.vault.faults import Fault, Faults, Place
from ibfeed_simulator.vault.tokens import LIFETIME_S, Caller, Tokens

AUDIENCE: Final = "api://AzureADTokenExchange"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Entra:
    def __init__(self, tokens: Tokens, faults: Faults, *, tenant: str) -> None:
        self._tokens = tokens
        self._faults = faults
        self._tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
            web.get("/common/discovery/instance", self._instance),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._openid),
        ]

    async def _token(self, request: web.Request) -> web.Response:
        fault = self._faults.take_fault(Place.ENTRA)
        if fault is not None and fault.fault is Fault.ENTRA_DOWN:
            return web.Response(status=503, text="Service Unavailable")
        if fault is not None:
            return _refusal(401, "invalid_client", fault.code, "refused on demand.")
        form = await request.post()
        tenant = request.match_info["tenant"]
        if tenant != self._tenant:
            return _refusal(
                400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check that you have the right tenant ID."
            )
        if form.get("grant_type") != "client_credentials" or form.get("client_assertion_type") != _ASSERTION:
            return _refusal(400, "invalid_request", 900144, "The request body must contain a client assertion.")
        claims = _claims(str(form.get("client_assertion", "")))
        if claims is None:
            return _refusal(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= time.time():
            return _refusal(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")
        audiences = claims.get("aud")
        if AUDIENCE not in (audiences if isinstance(audiences, list) else [audiences]):
            return _refusal(
                401,
                "invalid_client",
                700212,
                f"No matching federated identity record found for presented assertion audience '{audiences}'.",
            )
        subject = str(claims.get("sub", ""))
        if not subject.startswith("system:serviceaccount:"):
            return _refusal(
                401,
                "invalid_client",
                700213,
                f"No matching federated identity record found for presented assertion subject '{subject}'.",
            )
        client = str(form.get("client_id", ""))
        caller = Caller(app=client, object=str(uuid.uuid5(uuid.NAMESPACE_URL, client)), tenant=tenant)
        resource = str(form.get("scope", "")).removesuffix("/.default")
        return web.json_response(
            {
                "token_type": "Bearer",
                "expires_in": LIFETIME_S,
                "ext_expires_in": LIFETIME_S,
                "access_token": self._tokens.issue(caller, resource),
            }
        )

    async def _instance(self, request: web.Request) -> web.Response:
        host = request.host
        return web.json_response(
            {
                "tenant_discovery_endpoint": f"https://{host}/{self._tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def _openid(self, request: web.Request) -> web.Response:
        base = f"https://{request.host}/{request.match_info['tenant']}"
        return web.json_response(
            {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "issuer": f"{base}/v2.0",
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            }
        )


def _claims(assertion: str) -> dict[str, Any] | None:
    """Return the unverified payload of a JWT. None: it is no JWT."""
    parts = assertion.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) else None


def _refusal(status: int, error: str, code: int, text: str) -> web.Response:
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    return web.json_response(
        {
            "error": error,
            "error_description": f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} "
            f"Timestamp: {stamp}",
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={code}",
        },
        status=status,
    )
