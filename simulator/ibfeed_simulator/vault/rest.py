"""The vault's REST API for secrets: challenge, api-version, get, set, list in pages, soft delete and recover.

https://learn.microsoft.com/rest/api/keyvault/secrets
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiohttp import web

from ibfeed_simulator.vault import errors
from ibfeed_simulator.vault.faults import ActiveVaultFault, Fault, Faults, Place
from ibfeed_simulator.vault.store import (
    RECOVERABLE_DAYS,
    DeletedSecretError,
    Secret,
    Store,
    UnknownSecretError,
    Version,
)
from ibfeed_simulator.vault.tokens import Caller, Tokens

API_VERSIONS: Final = frozenset({"7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"})
PAGE: Final = 25  # the real vault's default and maximum
_NAME: Final = re.compile(r"^[0-9A-Za-z-]{1,127}$")
_SERVICE_VERSION: Final = {"x-ms-keyvault-region": "local", "x-ms-keyvault-service-version": "1.9.2756.1"}

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Rest:
    """The handlers of one vault. ``tenant`` issues its tokens."""

    def __init__(self, store: Store, tokens: Tokens, faults: Faults, *, tenant: str) -> None:
        self._store = store
        self._tokens = tokens
        self._faults = faults
        self._tenant = tenant

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/secrets", self._guarded(self._list)),
            web.get("/secrets/{name}", self._guarded(self._get)),
            web.get("/secrets/{name}/", self._guarded(self._get)),  # the SDK's form of "no version"
            web.get("/secrets/{name}/versions", self._guarded(self._list_versions)),
            web.get("/secrets/{name}/{version}", self._guarded(self._get)),
            web.put("/secrets/{name}", self._guarded(self._put)),
            web.delete("/secrets/{name}", self._guarded(self._delete)),
            web.get("/deletedsecrets", self._guarded(self._list_deleted)),
            web.get("/deletedsecrets/{name}", self._guarded(self._get_deleted)),
            web.post("/deletedsecrets/{name}/recover", self._guarded(self._recover)),
            web.delete("/deletedsecrets/{name}", self._guarded(self._purge)),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        """Check faults, token and api-version before an operation, in the real vault's order: the token first."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            name = request.match_info.get("name", "")
            fault = self._faults.take_fault(Place.VAULT, name)
            if (answer := await _without_token(request, fault)) is not None:
                return answer
            resource = resource_of(request.host)
            grant = self._tokens.grant_of(request.headers.get("Authorization", "").removeprefix("Bearer "))
            if fault is not None and fault.fault is Fault.WRONG_RESOURCE:
                return errors.unauthorized(self._challenge(request, "https://vault.example.net"), errors.NO_TOKEN)
            if "Authorization" not in request.headers:
                return errors.unauthorized(self._challenge(request, resource), errors.NO_TOKEN)
            if grant is None or grant.resource != resource:
                return errors.unauthorized(self._challenge(request, resource), errors.BAD_TOKEN)
            if fault is not None and fault.fault is Fault.WRONG_ISSUER:
                return errors.unauthorized(self._challenge(request, resource), errors.wrong_issuer(self._tenant))
            if request.query.get("api-version") not in API_VERSIONS:
                return errors.bad_parameter("The specified version (api-version) is not supported, or is missing.")
            if name and not _NAME.match(name):
                return errors.bad_parameter(f"The request URI contains an invalid name: {name}")
            if fault is not None and (denied := _denied(request, fault, grant.caller, name)) is not None:
                return denied
            try:
                response = await handler(request)
            except UnknownSecretError as error:
                deleted = request.path.startswith("/deletedsecrets")
                return errors.deleted_not_found(str(error)) if deleted else errors.not_found(str(error))
            response.headers.update(_SERVICE_VERSION)
            return response

        return guarded

    def _challenge(self, request: web.Request, resource: str) -> str:
        return f'Bearer authorization="https://{request.host}/{self._tenant}", resource="{resource}"'

    async def _get(self, request: web.Request) -> web.Response:
        secret, version = self._store.get(request.match_info["name"], request.match_info.get("version", ""))
        if not version.enabled:
            return errors.disabled()
        return web.json_response({"value": version.value, **_described(request, secret, version)})

    async def _put(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            document = await request.json()
            value = document["value"]
            if not isinstance(value, str):
                raise TypeError("value")
            attributes = document.get("attributes") or {}
            _, version = self._store.put(
                name,
                value,
                enabled=bool(attributes.get("enabled", True)),
                expires=attributes.get("exp"),
                not_before=attributes.get("nbf"),
                content_type=document.get("contentType"),
            )
        except DeletedSecretError:
            return errors.conflict(name)
        except (AttributeError, KeyError, TypeError, ValueError):
            return errors.bad_parameter("The request body is not a valid secret.")
        secret, _ = self._store.get(name)
        return web.json_response({"value": version.value, **_described(request, secret, version)})

    async def _list(self, request: web.Request) -> web.Response:
        return _page(request, [_listed(request, secret, secret.latest) for secret in self._store.all()])

    async def _list_versions(self, request: web.Request) -> web.Response:
        secret, _ = self._store.get(request.match_info["name"])
        return _page(request, [_described(request, secret, version) for version in secret.versions])

    async def _delete(self, request: web.Request) -> web.Response:
        secret = self._store.delete(request.match_info["name"])
        return web.json_response(_described_deleted(request, secret))

    async def _list_deleted(self, request: web.Request) -> web.Response:
        return _page(request, [_described_deleted(request, secret) for secret in self._store.all_deleted()])

    async def _get_deleted(self, request: web.Request) -> web.Response:
        return web.json_response(_described_deleted(request, self._store.deleted(request.match_info["name"])))

    async def _recover(self, request: web.Request) -> web.Response:
        secret = self._store.recover(request.match_info["name"])
        return web.json_response(_described(request, secret, secret.latest))

    async def _purge(self, request: web.Request) -> web.Response:
        self._store.purge(request.match_info["name"])
        return web.Response(status=204)


def resource_of(host: str) -> str:
    """Return the resource for which a vault asks tokens: its parent domain, such as https://vault.azure.net.

    The SDK refuses a challenge whose resource is not a parent of the vault's host (and port).
    """
    return f"https://{host.partition('.')[2] or host}"


async def _without_token(request: web.Request, fault: ActiveVaultFault | None) -> web.StreamResponse | None:
    """Apply the faults that act before the vault looks at the token."""
    if fault is None:
        return None
    match fault.fault:
        case Fault.THROTTLE:
            return errors.throttled(fault.retry_after)
        case Fault.SERVER_ERROR:
            return errors.refusal(fault.status, "InternalServerError", "An internal server error occurred.")
        case Fault.GARBAGE:
            return web.Response(
                text="<html><body>Please log in to the network.</body></html>", content_type="text/html"
            )
        case Fault.DROP:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)
        case Fault.SLOW:
            await asyncio.sleep(fault.seconds)
    return None


def _denied(request: web.Request, fault: ActiveVaultFault, caller: Caller, name: str) -> web.Response | None:
    vault = request.host.partition(".")[0]
    match fault.fault:
        case Fault.DENY_POLICY:
            return errors.by_policy(caller, vault)
        case Fault.DENY_RBAC:
            return errors.by_rbac(caller, vault, name)
        case Fault.DENY_FIREWALL:
            return errors.by_firewall(caller, vault, request.remote or "unknown")
    return None


def _attributes(version: Version) -> dict[str, Any]:
    times = {"nbf": version.not_before, "exp": version.expires}
    return {
        "enabled": version.enabled,
        **{name: value for name, value in times.items() if value is not None},
        "created": version.created,
        "updated": version.created,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": RECOVERABLE_DAYS,
    }


def _described(request: web.Request, secret: Secret, version: Version) -> dict[str, Any]:
    described = {
        "id": f"https://{request.host}/secrets/{secret.name}/{version.number}",
        "attributes": _attributes(version),
        "tags": {},
    }
    if version.content_type is not None:
        described["contentType"] = version.content_type
    return described


def _listed(request: web.Request, secret: Secret, version: Version) -> dict[str, Any]:
    return {**_described(request, secret, version), "id": f"https://{request.host}/secrets/{secret.name}"}


def _described_deleted(request: web.Request, secret: Secret) -> dict[str, Any]:
    deleted = secret.deleted or 0
    return {
        **_described(request, secret, secret.latest),
        "recoveryId": f"https://{request.host}/deletedsecrets/{secret.name}",
        "deletedDate": deleted,
        "scheduledPurgeDate": deleted + RECOVERABLE_DAYS * 86_400,
    }


def _page(request: web.Request, items: Sequence[dict[str, Any]]) -> web.Response:
    """Return one page of a list. ``nextLink`` leads to the next page; it is null at the end."""
    try:
        size = int(request.query.get("maxresults", PAGE))
        start = int(base64.urlsafe_b64decode(request.query.get("$skiptoken", "")) or b"0")
    except (binascii.Error, ValueError):
        return errors.bad_parameter("maxresults or $skiptoken is not valid.")
    if not 1 <= size <= PAGE or start < 0:
        return errors.bad_parameter(f"maxresults must be between 1 and {PAGE}.")
    end = start + size
    next_link = None
    if end < len(items):
        mark = base64.urlsafe_b64encode(str(end).encode()).decode()
        version = request.query["api-version"]
        next_link = f"https://{request.host}{request.path}?api-version={version}&$skiptoken={mark}&maxresults={size}"
    return web.json_response({"value": list(items[start:end]), "nextLink": next_link})
