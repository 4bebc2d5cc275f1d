from __future__ import annotations

import pytest

from ibfeed_operator.model.ownership import Claim, claim
from ibfeed_operator.model.types import Owner
from ibfeed_operator.resources import labels
from unit.operator_core.facts import feed

FEED = feed()  # energy, with uid u
NOW = Owner(uid="u", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="energy")
BEFORE = Owner(uid="gone", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="energy")
OTHER_FEED = Owner(uid="o", api_version="ibfeed.dev/v1alpha1", kind="IbFeed", name="metals")
APP = Owner(uid="a", api_version="apps/v1", kind="Deployment", name="energy")


@pytest.mark.parametrize(
    ("owners", "whose"),
    [
        ([NOW], Claim.OWN),
        ([BEFORE, NOW], Claim.OWN),
        ([], Claim.ORPHANED),  # kubectl delete --cascade=orphan
        ([BEFORE], Claim.ORPHANED),  # a restored backup
        ([OTHER_FEED], Claim.FOREIGN),
        ([APP], Claim.FOREIGN),
        ([BEFORE, APP], Claim.FOREIGN),
    ],
)
def test_object_with_our_labels_is_judged_by_its_owners(owners: list[Owner], whose: Claim) -> None:
    assert claim(FEED, labels("energy"), owners) is whose


@pytest.mark.parametrize("owners", [[], [BEFORE]])
def test_object_without_our_labels_is_never_adopted(owners: list[Owner]) -> None:
    assert claim(FEED, {}, owners) is Claim.FOREIGN
    assert claim(FEED, labels("metals"), owners) is Claim.FOREIGN
    by_hand = labels("energy") | {"app.kubernetes.io/managed-by": "Helm"}
    assert claim(FEED, by_hand, owners) is Claim.FOREIGN


def test_another_group_s_ibfeed_is_somebody_else() -> None:
    theirs = Owner(uid="x", api_version="example.com/v1", kind="IbFeed", name="energy")
    assert claim(FEED, labels("energy"), [theirs]) is Claim.FOREIGN
