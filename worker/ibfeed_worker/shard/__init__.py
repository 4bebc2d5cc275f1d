"""The worker's IbShard: its spec, which we obey, and its status, which only we write."""
