"""The claims of all namespaces, as the operator sees them in the objects that it follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from ibfeed_api.logins import History
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_operator.controller.snapshot import Informers, claims_on
from ibfeed_operator.kube.store import Key
from ibfeed_operator.model.types import AccountLease, Shard

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)


@dataclass
class Followed:
    """In place of ``Informers``: what two namespaces hold."""

    all_shards: dict[Key, Shard]
    all_leases: dict[Key, AccountLease]

    @property
    def shards(self) -> Any:
        return SimpleNamespace(values=lambda: iter(self.all_shards.items()))

    @property
    def leases(self) -> Any:
        return SimpleNamespace(value=self.all_leases.get)

    def accounts(
        self, namespace: str | None = None, wanted: Callable[[AccountLease], bool] = lambda _: True
    ) -> Iterator[tuple[str, AccountLease]]:
        return ((where, one) for (where, _), one in self.all_leases.items() if wanted(one))


def world(*parts: tuple[str, str, str, int, dict[str, Any]]) -> Followed:
    """From namespace, worker, source, index and what its Lease says."""
    shards, leases = {}, {}
    for namespace, worker, source, index, more in parts:
        name = f"ib-account-{source}-{index}"
        leases[namespace, name] = AccountLease(name=name, source=source, index=index, **more)
        if worker:
            account = Account(source=source, index=index, lease=name)
            spec = ShardSpec(feed="f", worker=0, account=account)
            shards[namespace, worker] = Shard(name=worker, worker=0, uid="s", resource_version="1", spec=spec)
    return Followed(shards, leases)


def seen(of: Followed, namespace: str, source: str) -> dict[str, str]:
    """Worker to Lease, as a feed of that namespace and source sees them."""
    own = [lease for where, lease in of.accounts() if where == namespace and lease.source == source]
    found = claims_on(cast("Informers", of), namespace, source, own, NOW)
    return {claim.worker: claim.lease for claim in found.all}


def test_a_vault_is_one_for_all_namespaces() -> None:
    of = world(("a", "x-0", "kv-v", 1, {}), ("b", "y-0", "kv-v", 1, {}), ("b", "z-0", "kv-w", 1, {}))
    assert seen(of, "a", "kv-v") == {"a/x-0": "a/ib-account-kv-v-1", "b/y-0": "b/ib-account-kv-v-1"}


def test_a_secret_is_its_namespaces_but_its_users_are_not() -> None:
    of = world(
        ("a", "x-0", "paper", 1, {"user": "u1"}),
        ("b", "y-0", "paper", 1, {"user": "u2"}),
        ("b", "y-1", "other", 7, {"user": "u1"}),
    )
    assert seen(of, "a", "paper") == {"a/x-0": "a/ib-account-paper-1", "b/y-1": "b/ib-account-other-7"}


def test_a_leaving_worker_has_its_account_while_it_holds_it() -> None:
    held = {"user": "u1", "holder": "gone-0_uid"}
    of = world(("a", "x-0", "paper", 1, {"user": "u1"}), ("b", "", "paper", 1, held))
    assert seen(of, "a", "paper") == {"a/x-0": "a/ib-account-paper-1", "b/gone-0": "b/ib-account-paper-1"}
    of.all_leases["b", "ib-account-paper-1"] = replace(of.all_leases["b", "ib-account-paper-1"], renew_seen_age_s=10.0)
    assert seen(of, "a", "paper") == {"a/x-0": "a/ib-account-paper-1"}


def test_what_is_parked_elsewhere_is_told_until_it_is_due() -> None:
    history = History(parked_since=NOW, try_again_at=NOW + timedelta(hours=1))
    parked = {"parked": "WrongCredentials", "history": history}
    of = world(
        ("a", "", "kv-v", 1, {}), ("b", "", "kv-v", 1, parked), ("b", "", "kv-v", 2, {**parked, "history": History()})
    )
    own = [lease for where, lease in of.accounts() if where == "a"]
    assert claims_on(cast("Informers", of), "a", "kv-v", own, NOW).parked == {1: "b", 2: "b"}
    later = NOW + timedelta(hours=2)
    assert claims_on(cast("Informers", of), "a", "kv-v", own, later).parked == {2: "b"}
    of = world(("a", "", "paper", 3, {"user": "u1"}), ("b", "", "other", 1, {**parked, "user": "u1"}))
    own = [lease for where, lease in of.accounts() if where == "a"]
    assert claims_on(cast("Informers", of), "a", "paper", own, NOW).parked == {3: "b"}
