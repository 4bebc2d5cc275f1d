"""How far a sink has come, as its status, its metrics and its log tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class SinkError(Exception):
    """A destination or Kafka fails. The text says the cause and what to do, and holds no secret."""


@dataclass(frozen=True)
class Progress:
    """How far a sink has come.

    Args:
        rows: records that the destination has confirmed since the process started.
        lag: records in Kafka that are not yet confirmed; None: not known.
        last_event_ms: IB's time of the newest record in the destination, in ms since 1970; None: no record yet.
        last_write_ms: our clock when the destination last confirmed something, in ms since 1970; None: never.
        latencies_ms: from IB's time to the confirmation, of the records of the last batch; empty: not known.
        error: what fails now; None: nothing.
        unreadable: records that cannot be decoded, and were left out since the process started.
        unreadable_cause: of the last one of them.
    """

    rows: int
    lag: int | None
    last_event_ms: int | None
    last_write_ms: int | None
    latencies_ms: tuple[float, ...]
    error: str | None
    unreadable: int = 0
    unreadable_cause: str = ""


class Processor(Protocol):
    """One sink's work."""

    @property
    def progress(self) -> Progress:
        """How far it has come. Reading it waits for nothing."""

    async def run(self) -> None:
        """Carry records until cancelled.

        A destination that is away is tried again, with back-off, and told in ``progress.error``. Raises SinkError when
        only a person can help, such as for a wrong password.
        """
