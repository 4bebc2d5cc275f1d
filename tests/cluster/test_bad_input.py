"""What is wrong names itself on a condition with what to do, and disturbs nobody else.

One good feed streams all the while; every test applies a bad one beside it. Each bad feed uses accounts of its own.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from cluster.conftest import NAMESPACE, apply_example, remove_all_feeds, wait_ready
from support.cluster import ROOT, condition, eventually, is_ready, kubectl, read
from support.daytime import is_maintenance, quiet_region
from support.stream import Tap
from support.venue import Venue

pytestmark = pytest.mark.timeout(400)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module", autouse=True)
def good(venue: Venue) -> Iterator[None]:
    """The equity feed (account 7), which must not notice anything."""
    remove_all_feeds()
    venue.heal()
    apply_example("equity")
    wait_ready("equity")
    yield
    venue.heal()
    remove_all_feeds()


@pytest.fixture
def bad() -> Iterator[Callable[[str, Change], None]]:
    """Applies the energy example, changed and with one worker, under another name; removes it afterwards."""
    base = yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text())
    names: list[str] = []

    def apply(name: str, change: Change) -> None:
        feed = copy.deepcopy(base)
        feed["metadata"] = {"name": name, "namespace": NAMESPACE}
        feed["spec"].update(workers=1, frontMonths=1)
        change(feed["spec"])
        names.append(name)
        kubectl("apply", "-f", "-", stdin=json.dumps(feed))

    yield apply
    for name in names:
        kubectl("delete", "ibfeed", name, "-n", NAMESPACE, "--wait=false", "--ignore-not-found")
    eventually(lambda: not any(read("pod", f"{n}-0", NAMESPACE) for n in names), within=60, what="the bad feed is gone")


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """The good feed is Ready and its ticks flow, after every bad one."""
    yield
    with Tap() as tap:
        assert is_ready(read("ibfeed", "equity", NAMESPACE))
        symbols = {c["conid"] for c in read("ibfeed", "equity", NAMESPACE)["status"]["contracts"]}
        eventually(lambda: set(tap.by_contract()) & symbols, within=15, what="ticks of the good feed")


def says(feed: str, kind: str, *words: str, status: str = "False", within: float = 120) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        got = condition(read("ibfeed", feed, NAMESPACE), kind)
        return got if got.get("status") == status and all(w in got.get("message", "") for w in words) else None

    try:
        return eventually(found, within=within, what=f"{kind} of {feed} is {status} and says {words}")
    except AssertionError as error:
        raise AssertionError(
            f"{error}\n{read('ibfeed', feed, NAMESPACE).get('status', {}).get('conditions')}"
        ) from None


def test_an_unknown_root_is_named_and_the_others_stream(bad: Callable[[str, Change], None]) -> None:
    bad("unknown-root", lambda spec: spec.update(roots=[{"symbol": "CL"}, {"symbol": "QQQQ"}]))
    found = says("unknown-root", "UniverseResolved", "QQQQ")
    assert found["reason"] == "UnknownRoot"
    feed = eventually(
        lambda: (
            (f := read("ibfeed", "unknown-root", NAMESPACE))["status"].get("assignedCount") == 1
            and condition(f, "Covered").get("status") == "True"
            and f
        ),
        within=60,
        what="CL streams all the same",
    )
    assert [c["root"] for c in feed["status"]["contracts"]] == ["CL"]


def test_unreachable_kafka_is_named_with_its_address(bad: Callable[[str, Change], None]) -> None:
    bad("no-kafka", lambda spec: spec["kafka"].update(bootstrapServers="10.244.0.1:9999"))
    says("no-kafka", "KafkaReachable", "10.244.0.1:9999")
    assert condition(read("ibfeed", "no-kafka", NAMESPACE), "Ready")["status"] == "False"


def test_a_missing_secret_is_named(bad: Callable[[str, Change], None]) -> None:
    bad("no-secret", lambda spec: spec["accounts"].update(secretRef={"name": "nobody-made-this"}))
    says("no-secret", "AccountsAvailable", "nobody-made-this")
    kubectl("delete", "lease", "-n", NAMESPACE, "-l", "ibfeed.dev/account-source=nobody-made-this")


def test_a_vault_that_is_not_there_is_named(bad: Callable[[str, Change], None]) -> None:
    def change(spec: dict[str, Any]) -> None:
        del spec["accounts"]["secretRef"]
        spec["accounts"]["keyVault"] = {"url": "https://nowhere.ibfeed-simulator.svc"}

    bad("no-vault", change)
    says("no-vault", "AccountsAvailable", "nowhere.ibfeed-simulator.svc")


def test_a_wrong_password_parks_the_account_and_the_next_one_is_tried(
    bad: Callable[[str, Change], None], venue: Venue
) -> None:
    before = venue.state()["users"]["paper1"]["failed_logins"]
    venue.fault("wrong_password", username="paper1")

    def change(spec: dict[str, Any]) -> None:
        spec["accounts"].update(first=1, count=2, maxFailedLogins=1, region=quiet_region())

    bad("wrong-password", change)
    if is_maintenance():
        eventually(lambda: venue.state()["users"]["paper1"]["failed_logins"] > before, within=120, what="it is refused")
        time.sleep(10)
        lease = read("lease", "ib-account-ib-paper-accounts-1", NAMESPACE)
        assert "ibfeed.dev/parked" not in lease["metadata"]["annotations"], "IB refuses everybody on its weekend"
        venue.heal()
        return
    says("wrong-password", "AccountsAvailable", "account 1", within=120)
    eventually(
        lambda: condition(read("ibfeed", "wrong-password", NAMESPACE), "Covered").get("status") == "True",
        within=120,
        what="account 2 streams instead",
    )
    assert [s["account"] for s in read("ibfeed", "wrong-password", NAMESPACE)["status"]["shards"]] == [2]
    assert venue.state()["users"]["paper1"]["failed_logins"] == before + 1  # not tried again: IB would lock the user
    lease = read("lease", "ib-account-ib-paper-accounts-1", NAMESPACE)
    assert lease["metadata"]["annotations"]["ibfeed.dev/parked"]
    kubectl("delete", "ibfeed", "wrong-password", "-n", NAMESPACE)
    time.sleep(10)
    assert read("lease", "ib-account-ib-paper-accounts-1", NAMESPACE), "the counter outlives the feed"
    kubectl("delete", "lease", "ib-account-ib-paper-accounts-1", "-n", NAMESPACE)
    venue.heal()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "suspend"),
        ({"workers": 7}, "accounts.count"),
        ({"roots": []}, "roots"),
    ],
)
def test_what_the_spec_alone_shows_is_refused_at_once(change: dict[str, Any], message: str) -> None:
    feed = yaml.safe_load((ROOT / "examples" / "energy.yaml").read_text())
    feed["metadata"]["name"] = "refused"
    feed["spec"].update(change)
    said = kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(feed), check=False)
    assert "invalid" in said.lower()
    assert message in said


def test_more_workers_than_free_accounts_is_a_condition(bad: Callable[[str, Change], None]) -> None:
    # The equity feed holds account 7 of the same source, so a second feed on accounts 7 and 8 has one left.
    def change(spec: dict[str, Any]) -> None:
        spec["accounts"].update(first=7, count=2)
        spec["workers"] = 2

    bad("too-few", change)
    found = says("too-few", "AccountsAvailable", "account", within=60)
    assert found["reason"] == "TooFewAccounts"
    eventually(
        lambda: condition(read("ibfeed", "too-few", NAMESPACE), "Covered").get("status") == "True",
        within=120,
        what="the one worker with an account streams everything",
    )
