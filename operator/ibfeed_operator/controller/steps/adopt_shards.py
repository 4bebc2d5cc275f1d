"""Take over the shards that an earlier IbFeed of this name has left, before anything is decided upon them."""

from __future__ import annotations

from ibfeed_operator import resources
from ibfeed_operator.controller.context import Context
from ibfeed_operator.kube.errors import KubeError
from ibfeed_operator.model.ownership import Ownership, ownership_of


async def adopt_shards(context: Context) -> None:
    """Raises KubeError if a shard of this feed's name is somebody else's.

    A shard names its feed in its spec, so its labels need not say so, too: they are written again.
    """
    labels = resources.labels(context.feed.name)
    for shard in list(context.shards.values()):
        whose = ownership_of(context.feed, labels, shard.owners)
        if whose is Ownership.FOREIGN:
            raise KubeError(
                f"IbShard {shard.name} is there already and not of this feed: delete it, or rename the IbFeed"
            )
        if whose is Ownership.ORPHANED and not shard.deleting:
            await context.shards.adopt(shard)
            await context.record_adoption(f"IbShard {shard.name}")
