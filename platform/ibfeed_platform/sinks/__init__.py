"""The sinks: each carries a feed's records from Kafka to one destination.

Each sink is a process of its own with a consumer group of its own. It may fail without touching the feed.
"""
