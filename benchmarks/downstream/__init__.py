"""`make bench-downstream`: what readers, stores and recordings get of a feed, how late, and what is lost on the way.

Kafka, Redis, Spark and ClickHouse's engine are real. What writes to Kafka stands in for a feed, and remembers it all.
"""
