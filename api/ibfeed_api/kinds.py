"""The API group, its kinds, and the field managers of server-side apply."""

from __future__ import annotations

from typing import Final

GROUP: Final = "ibfeed.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
FEED_KIND: Final = "IbFeed"
FEED_PLURAL: Final = "ibfeeds"
SHARD_KIND: Final = "IbShard"
SHARD_PLURAL: Final = "ibshards"
SINK_KIND: Final = "IbSink"
SINK_PLURAL: Final = "ibsinks"
# Server-side apply keeps one owner for each field.
OPERATOR_FIELD_MANAGER: Final = "ibfeed-operator"
WORKER_FIELD_MANAGER: Final = "ibfeed-worker"
SINK_FIELD_MANAGER: Final = "ibfeed-sink"


def shard_name(feed: str, worker: int) -> str:
    """The name of an IbShard, and of its worker's pod."""
    return f"{feed}-{worker}"
