"""Reference data of the contracts: a record for each on the compacted topic ``contracts``, for readers of the data."""

from ibfeed_worker.reference.keeper import Reference

__all__ = ["Reference"]
