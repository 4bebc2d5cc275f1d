"""Builds the IbShard of a worker."""

from __future__ import annotations

from typing import Any

import msgspec

from ibfeed_api.kinds import API_VERSION, SHARD_KIND, shard_name
from ibfeed_api.labels import LABEL_WORKER
from ibfeed_api.shard import ShardSpec
from ibfeed_operator.model.types import Feed
from ibfeed_operator.resources.metadata import Manifest, owned


def shard(feed: Feed, spec: ShardSpec) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": SHARD_KIND,
        "metadata": owned(feed, shard_name(feed.name, spec.worker), extra_labels={LABEL_WORKER: str(spec.worker)}),
        "spec": shard_spec(spec),
    }


def shard_spec(spec: ShardSpec) -> dict[str, Any]:
    """Return the ``spec`` of an IbShard.

    ``contracts`` is always there: an empty list removes entries, a missing one may not.
    """
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec))
    return {"contracts": [], **plain}
