"""The worker's data path: websocket, subscriptions, ticks, Kafka. The rest of the worker sees only ``Streamer``."""

from ibfeed_worker.stream.connection import End, Link, StreamEnd, Timing
from ibfeed_worker.stream.session_facts import SessionFacts
from ibfeed_worker.stream.streamer import Streamer

__all__ = ["End", "Link", "SessionFacts", "StreamEnd", "Streamer", "Timing"]
