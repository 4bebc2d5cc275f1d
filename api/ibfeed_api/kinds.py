"""The API group and its kinds; who writes which field."""

from __future__ import annotations

from typing import Final

GROUP: Final = "ibfeed.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FEED_KIND: Final = "IbFeed"
FEED_PLURAL: Final = "ibfeeds"
SHARD_KIND: Final = "IbShard"
SHARD_PLURAL: Final = "ibshards"
# Who writes what: server-side apply keeps one owner for each field.
OPERATOR_FIELD_MANAGER: Final = "ibfeed-operator"
WORKER_FIELD_MANAGER: Final = "ibfeed-worker"


def shard_name(feed: str, worker: int) -> str:
    """Name of worker ``worker``'s IbShard, which is also the name of its pod."""
    return f"{feed}-{worker}"
