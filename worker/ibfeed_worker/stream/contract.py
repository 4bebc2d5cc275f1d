"""One contract of the shard for one epoch: what the operator wants, how far it is, what to report. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from ibfeed_api.names import ContractState, EntryState
from ibfeed_api.records import seq_of
from ibfeed_api.shard import Entry, Mark, Report
from ibfeed_worker.publish import Channel
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.ticks import Normaliser

_EPOCH_START_S: Final = 1_767_225_600  # 2026-01-01
COUNTS_PER_S: Final = 8  # four times what IB sends of a contract at most (500 ms snapshots)
BOOK_COUNTS_PER_S: Final = 16  # a frame of a ladder is two records at most, and its pace is not documented


def count_after_restart(now_s: float, per_s: int = COUNTS_PER_S) -> int:
    """Where to go on counting an epoch that an earlier process of this worker may have begun.

    It grows faster than a contract's records do, so ``seq`` cannot come twice; the hole says that something is lost.
    """
    return max(0, int(now_s) - _EPOCH_START_S) * per_s


class Contract:
    def __init__(
        self,
        entry: Entry,
        *,
        channel: Channel,
        normaliser: Normaliser,
        count: int,
        interrupted: str,
        depth: Depth,
    ) -> None:
        """``count``: records of this epoch so far. ``interrupted``: why ticks may be missing before the next one."""
        self.entry = entry
        self.channel: Final = channel
        self.normaliser: Final = normaliser
        self.depth: Final = depth
        self.count = count
        self.interrupted = interrupted
        self.retiring = False
        self.released = False
        self.confirmed = False  # IB has sent something since the subscription
        self.last_frame_s: float | None = None
        self.data_type: str | None = None  # the latest 6509 of any connection
        self.told: ContractState | None = None  # the state in the latest report that anybody was told of
        if entry.mark is not None:
            normaliser.published_elsewhere(entry.mark.event_time)

    @property
    def publishes(self) -> bool:
        return self.entry.state is EntryState.ACTIVE and not self.retiring

    @property
    def next_seq(self) -> int:
        return seq_of(self.entry.epoch, self.count + 1)

    @property
    def mark(self) -> Mark | None:
        """How far Kafka has the contract, as far as this worker knows."""
        return self.channel.acknowledged or self.entry.mark

    @property
    def state(self) -> ContractState:
        if self.released:
            return ContractState.RELEASED
        if not self.confirmed:
            return ContractState.SUBSCRIBING
        if self.entry.state is EntryState.STANDBY:
            return ContractState.WARM
        if self.channel.used and self.channel.acknowledged is None:
            return ContractState.SUBSCRIBING
        return ContractState.PUBLISHING

    def release_if_idle(self) -> bool:
        """Count as released once nothing is on its way to Kafka; whether it does by now."""
        if self.retiring and not self.released and self.channel.idle and self.depth.channel.idle:
            self.released = True
        return self.released

    def disconnected(self) -> None:
        """The websocket is gone: what follows until the next subscription is not seen."""
        if self.confirmed and not self.interrupted:
            self.interrupted = "the connection to IB was lost"
        self.confirmed = False

    def report(self) -> Report:
        mark = self.mark
        return Report(
            conid=self.entry.conid,
            epoch=self.entry.epoch,
            state=self.state,
            event_time=mark.event_time if mark else None,
            seq=mark.seq if mark else None,
            last_tick_time=_rfc3339(self.last_frame_s),
        )


def _rfc3339(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
