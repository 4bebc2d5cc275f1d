"""The worker's IbShard: its spec, which the worker obeys, and its status, which only the worker writes."""
