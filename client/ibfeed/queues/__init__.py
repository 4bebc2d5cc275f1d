"""Queues between the process that publishes events and the ones that handle them.

=================  ==========================  ==================================================
queue              module                      after a crash
=================  ==========================  ==================================================
``AsyncioQueue``   ``queues.in_process``       its events are gone
``KafkaQueue``     ``queues.kafka_topic``      events that were not done come again
``RedisQueue``     ``queues.redis_stream``     events that were not done come again
=================  ==========================  ==================================================

All keep one contract, which ``queues.protocols`` tells.
"""
