"""The one thing that the garbage collector cannot do: delete the Leases of accounts that no feed uses any more."""

from __future__ import annotations

from typing import Final

from ibfeed_operator.cluster import Conflict
from ibfeed_operator.facts import AccountLease
from ibfeed_operator.liveness import LEASE_EXPIRY_S
from ibfeed_operator.observe import leases_path, used_sources
from ibfeed_operator.shared import Shared

_NOTHING_TO_DO_S: Final = 60.0
_SOON_S: Final = 2.0


async def sweep(shared: Shared) -> float:
    """Delete what can go now. Returns the seconds until it is worth looking again.

    A Lease stays while somebody holds it, and for ever while failed logins stand on it: IB counts them, too.
    """
    await shared.views.leases.fresh()
    leases = shared.views.accounts()
    used = await used_sources(shared.cluster, shared.settings.namespace)
    wait = _NOTHING_TO_DO_S
    for namespace, lease in leases:
        if (namespace, lease.source) in used or lease.failed or lease.parked:
            continue
        if _held(lease):
            wait = _SOON_S
            continue
        try:
            await shared.cluster.delete(
                f"{leases_path(namespace)}/{lease.name}", resource_version=lease.resource_version
            )
        except Conflict:
            wait = _SOON_S
            continue
    return wait


def _held(lease: AccountLease) -> bool:
    return bool(lease.holder) and lease.renew_seen_age_s < LEASE_EXPIRY_S
