"""Whose an object is that bears a name of this feed's objects: its own, an earlier feed's, or somebody else's.

`kubectl delete --cascade=orphan` takes the owner away and leaves the objects, and a restored backup brings them with
the owner of their former life. Both leave pods that stream, which the feed of that name takes over. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from ibfeed_api.kinds import FEED_KIND, GROUP, OPERATOR_FIELD_MANAGER
from ibfeed_api.labels import LABEL_FEED, LABEL_MANAGED_BY
from ibfeed_operator.model.types import Feed, Owner


class Ownership(StrEnum):
    OWN = "own"
    ORPHANED = "orphaned"  # of an IbFeed of this name that is gone: to be adopted
    FOREIGN = "foreign"


def ownership_of(feed: Feed, labels: Mapping[str, str], owners: Iterable[Owner]) -> Ownership:
    """Judge an object by its labels and ownerReferences.

    Two IbFeeds of one name cannot be there at a time. So an owner of this feed's kind and name with another uid is
    gone, without asking.
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
