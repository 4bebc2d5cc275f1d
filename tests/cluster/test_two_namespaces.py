"""One account, two namespaces: a vault that both read, a Secret that was copied, and a login page that fails for all.

Everything is real but IB and the vault. The venue is the judge: it saw one login of a user, and no session taken.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cluster.conftest import NAMESPACE, remove_all_feeds
from support.cluster import ROOT, condition, eventually, is_ready, items, kubectl, read
from support.venue import Venue

OTHER = "desk-b"

pytestmark = pytest.mark.timeout(600)

Apply = Callable[..., None]


def copied(kind: str, name: str) -> dict[str, Any]:
    found = read(kind, name, NAMESPACE)
    assert found, f"{kind} {name} is not there: run `make up` first"
    return {**found, "metadata": {"name": name, "namespace": OTHER}}


@pytest.fixture(scope="module", autouse=True)
def desk() -> Iterator[None]:
    """A second namespace with copies of what a feed needs."""
    remove_all_feeds()
    kubectl("create", "namespace", OTHER, check=False)
    listed = [copied("configmap", "ib-venue-ca"), copied("secret", "ib-paper-accounts")]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": listed}))
    yield
    kubectl("delete", "namespace", OTHER, "--wait=false", "--ignore-not-found")


@pytest.fixture
def apply(venue: Venue) -> Iterator[Apply]:
    venue.heal()
    made: list[tuple[str, str]] = []

    def applied(name: str, namespace: str, example: str = "energy", **accounts: Any) -> None:
        feed = copy.deepcopy(yaml.safe_load((ROOT / "examples" / f"{example}.yaml").read_text()))
        feed["metadata"] = {"name": name, "namespace": namespace}
        feed["spec"].update(workers=accounts.pop("workers", 1), roots=[{"symbol": "CL"}], frontMonths=1)
        feed["spec"]["accounts"].update(accounts)
        feed["spec"]["kafka"]["bootstrapServers"] = f"kafka.{NAMESPACE}.svc:9092"
        made.append((name, namespace))
        kubectl("apply", "-f", "-", stdin=json.dumps(feed))

    yield applied
    for name, namespace in made:
        delete(name, namespace)
    for namespace in {namespace for _, namespace in made}:
        eventually(lambda: not items("pods", namespace), within=60, what="the workers are gone")  # noqa: B023
        kubectl("delete", "leases", "-n", namespace, "-l", "ibfeed.dev/account-source", "--ignore-not-found")
    venue.heal()


def delete(name: str, namespace: str) -> None:
    kubectl("delete", "ibfeed", name, "-n", namespace, "--wait=false", "--ignore-not-found")


def says(name: str, namespace: str, reason: str, *words: str, within: float = 60) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        got = condition(read("ibfeed", name, namespace), "AccountsAvailable")
        there = got.get("reason") == reason and all(word in got.get("message", "") for word in words)
        return got if there else None

    try:
        return eventually(found, within=within, what=f"{namespace}/{name}: {reason} {words}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{read('ibfeed', name, namespace).get('status')}") from None


def streams(name: str, namespace: str, within: float = 120) -> list[int]:
    """Wait until it is Ready; the accounts of its workers."""
    found = eventually(
        lambda: (f := read("ibfeed", name, namespace)) and is_ready(f) and f, within=within, what=f"{name} is Ready"
    )
    return [shard["account"] for shard in found["status"]["shards"]]


def logins(venue: Venue) -> dict[str, int]:
    return {name: user["logins"] for name, user in venue.state()["users"].items()}


def test_two_namespaces_on_one_vault_share_its_accounts(apply: Apply, venue: Venue) -> None:
    vault = {"example": "keyvault-simulator", "first": 9, "count": 2}
    apply("metals", NAMESPACE, **vault)
    assert streams("metals", NAMESPACE) == [9]
    before = logins(venue)
    apply("metals", OTHER, **vault)
    assert streams("metals", OTHER) == [10]
    assert logins(venue)["paper9"] == before["paper9"], "no worker logged in with the account of the other namespace"
    apply("late", OTHER, **vault)
    found = says("late", OTHER, "TooFewAccounts", f"account 9 is in use by {NAMESPACE}/metals-0")
    assert "account 10 is in use by metals-0" in found["message"]
    delete("metals", NAMESPACE)
    assert streams("late", OTHER) == [9], "once it is free"


def test_a_copied_secret_is_used_once(apply: Apply, venue: Venue) -> None:
    apply("first", NAMESPACE, first=8, count=1)
    assert streams("first", NAMESPACE) == [8]
    before = logins(venue)["paper8"]
    apply("second", OTHER, first=8, count=1)
    says("second", OTHER, "AccountHeldElsewhere", f"the user of account 8 is in use by worker {NAMESPACE}/first-0")
    session = venue.state()["users"]["paper8"]
    assert (session["logins"], len(session["sessions"])) == (before, 1), "its session was not taken"
    assert is_ready(read("ibfeed", "first", NAMESPACE))
    secret = copied("secret", "ib-paper-accounts")
    secret["data"]["username-8"], secret["data"]["password-8"] = (
        secret["data"]["username-9"],
        secret["data"]["password-9"],
    )
    kubectl("apply", "-f", "-", stdin=json.dumps(secret))
    assert streams("second", OTHER) == [8], "a user of its own is noticed"
    assert venue.state()["users"]["paper9"]["logged_in"]
    kubectl("apply", "-f", "-", stdin=json.dumps(copied("secret", "ib-paper-accounts")))


def test_a_page_that_asks_all_for_a_second_factor_parks_nobody(apply: Apply, venue: Venue) -> None:
    """A worker that begins its login before two have told the others tries its account, too."""
    venue.fault("second_factor")
    before = logins(venue)
    apply("pool", NAMESPACE, first=1, count=6, workers=3)
    found = says("pool", NAMESPACE, "LoginPageTrouble", "asks for a second factor", within=90)
    assert "kubectl -n default annotate lease/ib-account-ib-paper-accounts-logins" in found["message"]

    def parked() -> list[str]:
        leases = items("leases", NAMESPACE, "ibfeed.dev/account-source")
        return [
            one["metadata"]["name"] for one in leases if "ibfeed.dev/parked" in one["metadata"].get("annotations", {})
        ]

    eventually(lambda: not parked(), within=15, what="nothing is parked for the page's fault")
    tried = [one for one in items("leases", NAMESPACE, "ibfeed.dev/account-source") if "tries" in json.dumps(one)]
    assert len(tried) in (2, 3), "no worker took another account"  # three on a slow machine
    venue.heal()
    assert logins(venue) == before
    command = found["message"].partition("kubectl ")[2].partition(";")[0].split()  # what a worker says may follow
    kubectl(*command)
    streams("pool", NAMESPACE)
