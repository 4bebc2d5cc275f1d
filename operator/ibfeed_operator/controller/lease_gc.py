"""The one thing that the garbage collector cannot do: delete the Leases of accounts that no feed uses any more."""

from __future__ import annotations

from typing import Final

from ibfeed_api.lease import TAKEOVER_S
from ibfeed_operator.controller.dependencies import Dependencies
from ibfeed_operator.controller.snapshot import leases_path, used_sources
from ibfeed_operator.kube.errors import ConflictError
from ibfeed_operator.model.types import AccountLease

_NOTHING_TO_DO_S: Final = 60.0
_SOON_S: Final = 2.0


async def collect_leases(dependencies: Dependencies) -> float:
    """Delete what can go now. Returns the seconds until it is worth looking again.

    A Lease stays while somebody holds it, and for ever while failed logins stand on it: IB counts them, too.
    """
    await dependencies.informers.leases.fresh()
    leases = dependencies.informers.accounts()
    used = await used_sources(dependencies.kube, dependencies.settings.namespace)
    wait = _NOTHING_TO_DO_S
    for namespace, lease in leases:
        if (namespace, lease.source) in used or lease.failed or lease.parked:
            continue
        if _held(lease):
            wait = _SOON_S
            continue
        try:
            await dependencies.kube.delete(
                f"{leases_path(namespace)}/{lease.name}", resource_version=lease.resource_version
            )
        except ConflictError:
            wait = _SOON_S
            continue
    return wait


def _held(lease: AccountLease) -> bool:
    return bool(lease.holder) and lease.renew_seen_age_s < TAKEOVER_S
