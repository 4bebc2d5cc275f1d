"""Take over the shards that an earlier IbFeed of this name has left, before anything is decided upon them."""

from __future__ import annotations

from ibfeed_operator import resources
from ibfeed_operator.cluster import ClusterError
from ibfeed_operator.ownership import Claim, claim
from ibfeed_operator.visit import Visit


async def adopt_shards(visit: Visit) -> None:
    """Raises ClusterError if a shard of this feed's name is somebody else's.

    A shard names its feed in its spec, so its labels need not say so, too: they are written again.
    """
    labels = resources.labels(visit.feed.name)
    for shard in list(visit.shards.values()):
        whose = claim(visit.feed, labels, shard.owners)
        if whose is Claim.FOREIGN:
            raise ClusterError(
                f"IbShard {shard.name} is there already and not of this feed: delete it, or rename the IbFeed"
            )
        if whose is Claim.ORPHANED and not shard.deleting:
            await visit.adopt_shard(shard)
