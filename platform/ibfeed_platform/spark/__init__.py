"""The hot store by Spark Structured Streaming, for feeds that one process cannot carry.

::

    settings   the job's arguments
    rows       rows of Spark's Kafka source as the Kafka client's messages
    updates    messages as updates of the hot store
    progress   a batch's lag, and records that Kafka had no longer
    tasks      the part that runs on the executors
    job        the part that runs on the driver

``docs/spark.md`` says how to run it.
"""
