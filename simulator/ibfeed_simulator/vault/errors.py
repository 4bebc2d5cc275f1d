"""The bodies of the vault's refusals: ``{"error": {"code", "message", "innererror"?}}``, in the real one's words."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ibfeed_simulator.vault.tokens import Caller


def refusal(
    status: int, code: str, message: str, *, inner: str | None = None, headers: dict[str, str] | None = None
) -> web.Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return web.json_response({"error": error}, status=status, headers=headers)


def not_found(name: str) -> web.Response:
    return refusal(
        404,
        "SecretNotFound",
        f"A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may "
        "be able to recover it using the correct recovery command. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125182",
    )


def deleted_not_found(name: str) -> web.Response:
    return refusal(404, "SecretNotFound", f"Deleted Secret not found: {name}")


def disabled() -> web.Response:
    return refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", inner="SecretDisabled")


def conflict(name: str) -> web.Response:
    return refusal(
        409,
        "Conflict",
        f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, "
        "the secret can only be recovered or purged.",
        inner="ObjectIsDeletedButRecoverable",
    )


def bad_parameter(message: str) -> web.Response:
    return refusal(400, "BadParameter", message)


def throttled(retry_after: int) -> web.Response:
    return refusal(
        429,
        "Throttled",
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
        headers={"Retry-After": str(retry_after)},
    )


def unauthorized(challenge: str, message: str) -> web.Response:
    return refusal(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})


NO_TOKEN: Final = "AKV10000: Request is missing a Bearer or PoP token."
BAD_TOKEN: Final = "AKV10022: Invalid audience. The token was not issued for this vault, or is out of date."


def wrong_issuer(tenant: str) -> str:
    return (
        f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{tenant}/, found "
        "https://sts.windows.net/00000000-0000-0000-0000-000000000000/."
    )


def by_policy(caller: Caller, vault: str) -> web.Response:
    return refusal(
        403,
        "Forbidden",
        f"The user, group or application '{caller}' does not have secrets get permission on key vault "
        f"'{vault};location=local'. For help resolving this issue, please see "
        "https://go.microsoft.com/fwlink/?linkid=2125287",
        inner="ForbiddenByPolicy",
    )


def by_rbac(caller: Caller, vault: str, secret: str) -> web.Response:
    return refusal(
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
        "definitions were changed recently, please observe propagation time.\r\n"
        f"Caller: {caller}\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n"
        f"Resource: '/subscriptions/local/resourcegroups/local/providers/microsoft.keyvault/vaults/{vault}/secrets/"
        f"{secret}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: 'DeniedWithNoValidRBAC' "
        f"\r\nVault: {vault};location=local\r\n",
        inner="ForbiddenByRbac",
    )


def by_firewall(caller: Caller, vault: str, address: str) -> web.Response:
    return refusal(
        403,
        "Forbidden",
        f"Client address is not authorized and caller is not a trusted service.\r\nClient address: {address}\r\n"
        f"Caller: {caller}\r\nVault: {vault};location=local",
        inner="ForbiddenByFirewall",
    )
