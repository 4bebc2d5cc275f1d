from __future__ import annotations

import pytest

from ibfeed_operator.model.ownership import Ownership, ownership_of
from ibfeed_operator.model.types import Owner
from ibfeed_operator.resources import labels
from support.build import feed

FEED = feed()  # energy, with uid u
NOW = Owner(uid="u", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="energy")
BEFORE = Owner(uid="gone", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="energy")
OTHER_FEED = Owner(uid="o", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="metals")
APP = Owner(uid="a", api_version="apps/v1", kind="Deployment", name="energy")


@pytest.mark.parametrize(
    ("owners", "whose"),
    [
        ([NOW], Ownership.OWN),
        ([BEFORE, NOW], Ownership.OWN),
        ([], Ownership.ORPHANED),  # kubectl delete --cascade=orphan
        ([BEFORE], Ownership.ORPHANED),  # a restored backup
        ([OTHER_FEED], Ownership.FOREIGN),
        ([APP], Ownership.FOREIGN),
        ([BEFORE, APP], Ownership.FOREIGN),
    ],
)
def test_object_with_our_labels_is_judged_by_its_owners(owners: list[Owner], whose: Ownership) -> None:
    assert ownership_of(FEED, labels("energy"), owners) is whose


@pytest.mark.parametrize("owners", [[], [BEFORE]])
def test_object_without_our_labels_is_never_adopted(owners: list[Owner]) -> None:
    assert ownership_of(FEED, {}, owners) is Ownership.FOREIGN
    assert ownership_of(FEED, labels("metals"), owners) is Ownership.FOREIGN
    by_hand = labels("energy") | {"app.kubernetes.io/managed-by": "Helm"}
    assert ownership_of(FEED, by_hand, owners) is Ownership.FOREIGN


def test_another_group_s_ibfeed_is_somebody_else() -> None:
    theirs = Owner(uid="x", api_version="example.com/v1", kind="IbFeed", name="energy")
    assert ownership_of(FEED, labels("energy"), [theirs]) is Ownership.FOREIGN
