"""What readers must know of the contracts: a record for each on the compacted topic ``contracts``."""

from ibfeed_worker.reference.keeper import Reference

__all__ = ["Reference"]
