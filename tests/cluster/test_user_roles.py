"""Kubernetes' own roles reach feeds: whoever may view, edit or administer a namespace, asked of the real API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from support.cluster import ROOT, eventually, kubectl

NAMESPACE = f"ibfeed-test-users-{uuid.uuid4().hex[:8]}"
ROLES = ("view", "edit", "admin", "ibfeed-view", "ibfeed-edit")


def user(role: str) -> str:
    return f"{role}-of-{NAMESPACE}"


def may(role: str, verb: str, what: str, subresource: str = "") -> bool:
    words = ["auth", "can-i", verb, what, "-n", NAMESPACE, f"--as={user(role)}"]
    answer = kubectl(*words, *([f"--subresource={subresource}"] if subresource else []), check=False)
    return "yes" in answer.split()


@pytest.fixture(scope="module", autouse=True)
def _users() -> Iterator[None]:
    kubectl("apply", "-f", str(ROOT / "manifests" / "operator" / "user-roles.yaml"))
    kubectl("create", "namespace", NAMESPACE)
    for role in ROLES:
        kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={user(role)}", "-n", NAMESPACE)
    eventually(lambda: may("admin", "patch", "ibfeeds.ibfeed.dev"), within=30, what="the roles are aggregated")
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.mark.parametrize("role", ["view", "edit", "admin", "ibfeed-view"])
@pytest.mark.parametrize("what", ["ibfeeds.ibfeed.dev", "ibshards.ibfeed.dev", "ibsinks.ibfeed.dev"])
def test_everybody_may_look(role: str, what: str) -> None:
    assert may(role, "get", what)
    assert may(role, "watch", what)


@pytest.mark.parametrize("role", ["edit", "admin", "ibfeed-edit"])
@pytest.mark.parametrize(
    ("verb", "what", "subresource"),
    [
        ("create", "ibfeeds.ibfeed.dev", ""),
        ("patch", "ibfeeds.ibfeed.dev", ""),
        ("delete", "ibfeeds.ibfeed.dev", ""),
        ("update", "ibfeeds.ibfeed.dev", "scale"),
        ("patch", "ibshards.ibfeed.dev", ""),  # to drain a worker
        ("create", "ibsinks.ibfeed.dev", ""),
        ("delete", "ibsinks.ibfeed.dev", ""),
        ("update", "ibsinks.ibfeed.dev", "scale"),
    ],
)
def test_who_edits_the_namespace_edits_feeds(role: str, verb: str, what: str, subresource: str) -> None:
    assert may(role, verb, what, subresource)


@pytest.mark.parametrize("role", ["view", "ibfeed-view"])
@pytest.mark.parametrize("verb", ["create", "patch", "delete"])
def test_who_looks_changes_nothing(role: str, verb: str) -> None:
    assert not may(role, verb, "ibfeeds.ibfeed.dev")
    assert not may(role, verb, "ibshards.ibfeed.dev")
    assert not may(role, verb, "ibsinks.ibfeed.dev")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("what", ["ibfeeds.ibfeed.dev", "ibshards.ibfeed.dev", "ibsinks.ibfeed.dev"])
def test_no_person_writes_a_status(role: str, what: str) -> None:
    assert not may(role, "patch", what, "status")
    assert not may(role, "update", what, "status")
