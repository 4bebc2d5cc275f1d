"""The two states of a contract: what IB sends of it, and what this worker publishes of it.

They change independently. The transitions are methods of `Contract`; docs/architecture/take-over.md draws them.
"""

from __future__ import annotations

from enum import Enum


class Subscription(Enum):
    """The state of the contract on this connection: what IB sends of it."""

    NEW = "new"  # nothing yet
    CONFIRMED = "confirmed"  # its first frame came
    WARM = "warm"  # so long ago that whoever publishes it from another account has had what that frame showed
    SILENT = "silent"  # nothing more, although it trades; it was asked for a full frame
    REFUSED = "refused"  # IB answered the subscription with an error


class Publication(Enum):
    """The state of the contract in this epoch: what this worker publishes of it."""

    STANDBY = "standby"  # ticks are held, for it may become ours
    LOCATING = "locating"  # it is ours, ticks are held, and Kafka is asked how far it has the contract
    OVERTAKEN = "overtaken"  # Kafka has this epoch or a later one already, so a later one is waited for
    LIVE = "live"  # ticks go to Kafka as they come
    CLOSING = "closing"  # to be released, once Kafka was asked and what is held was published
    DRAINING = "draining"  # to be released, once Kafka has answered for what is on its way
    RELEASED = "released"  # nothing is, or will be, on its way
