"""Finds the owner of an object with a name of this feed's objects: this feed, an earlier one or another client. Pure.

`kubectl delete --cascade=orphan` takes the owner away and leaves the objects. A restored backup brings objects whose
owner no longer exists. Both leave pods that stream, and the feed of that name takes them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from ibfeed_api.kinds import FEED_KIND, GROUP, OPERATOR_FIELD_MANAGER
from ibfeed_api.labels import LABEL_FEED, LABEL_MANAGED_BY
from ibfeed_operator.model.types import Feed, Owner


class Ownership(StrEnum):
    """The owner of an object."""

    OWN = "own"
    ORPHANED = "orphaned"  # of an IbFeed of this name that no longer exists: to be adopted
    FOREIGN = "foreign"


def ownership_of(feed: Feed, labels: Mapping[str, str], owners: Iterable[Owner]) -> Ownership:
    """Decide by an object's labels and ownerReferences.

    Two IbFeeds of one name cannot exist at the same time. So an owner of this feed's kind and name with another uid no
    longer exists, and need not be looked up.
    """
    others = tuple(owners)
    if any(owner.uid == feed.uid for owner in others):
        return Ownership.OWN
    ours = {LABEL_FEED: feed.name, LABEL_MANAGED_BY: OPERATOR_FIELD_MANAGER}
    if not ours.items() <= labels.items():
        return Ownership.FOREIGN
    if all(_is_feed(owner, feed.name) for owner in others):
        return Ownership.ORPHANED
    return Ownership.FOREIGN


def _is_feed(owner: Owner, name: str) -> bool:
    group, _, _ = owner.api_version.partition("/")
    return (group, owner.kind, owner.name) == (GROUP, FEED_KIND, name)
