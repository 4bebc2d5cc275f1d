"""One contract of the shard for one epoch: what the operator wants, how far it is, what to report. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark, Report
from ibfeed_worker.publish import PartitionWriter
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.handover_buffer import HandoverBuffer, HeldTick
from ibfeed_worker.ticks import Normaliser

_ACTIVE: Final = EntryState.ACTIVE  # each look at a member of an enumeration costs as much as a call
_FIRST_FRAME_S: Final = 5.0  # IB answers a subscription at once
COUNTS_PER_S: Final = 8  # four times what IB sends of a contract at most (500 ms snapshots)
BOOK_COUNTS_PER_S: Final = 16  # a frame of a ladder is two records at most, and its pace is not documented


def count_after_restart(now_s: float, epoch: int, per_s: int = COUNTS_PER_S) -> int:
    """Where to go on counting an epoch that an earlier process of this worker may have begun.

    An epoch is the second in which it was given, and this grows faster from there than a contract's records do. So
    ``seq`` does not come twice if the clocks of operator and worker agree; if they do not, Kafka's tail tells. The
    hole says that something is lost.
    """
    return max(0, int(now_s) - epoch) * per_s


class Contract:
    def __init__(
        self,
        entry: Entry,
        *,
        writer: PartitionWriter,
        normaliser: Normaliser,
        count: int,
        interrupted: str,
        depth: Depth,
        held: HandoverBuffer,
        mark: Mark | None,
        own: int | None,
        fresh: bool,
    ) -> None:
        """``count``: records of this epoch so far. ``interrupted``: why ticks may be missing before the next one.

        ``mark``: how far Kafka has the contract, as far as that is known. ``own``: event time (ms) of the latest record
        that this process gave to Kafka in an epoch before. ``fresh``: nobody published it before.
        """
        self.entry = entry
        self.writer: Final = writer
        self.normaliser: Final = normaliser
        self.depth: Final = depth
        self.held: Final = held
        self.count = count
        self.interrupted = interrupted
        self.retiring = entry.state is EntryState.RETIRING
        self.released = False
        self.unsure = False  # how far Kafka has the contract is not known here: nothing is published before it is
        self.taking_over = False  # ours to publish as soon as Kafka has told that; it ends with what is held published
        self.confirmed = False  # IB has sent something since the subscription
        self.confirmed_ns = 0  # when it did
        self.overlaps = False  # and so long ago that who publishes it now has had that, too
        self.last_frame_ns: int | None = None
        self.broke_s: float | None = None  # when the latest frame came that ended a gap, in seconds since 1970
        self.silent_since: float | None = None  # its latest frame before it was suspected, until it has answered
        self.refusal = ""  # IB's words, until IB sends something
        self.subscribed_s: float | None = None  # when IB was asked for it on this connection, in seconds since 1970
        self.data_type: str | None = None  # the latest 6509 of any connection
        self.told: ContractState | None = None  # the state in the latest report that anybody was told of
        self.former: PartitionWriter | None = None  # of an earlier epoch, whose records Kafka may not have answered for
        self.fresh: Final = fresh
        self.kafka_epoch: int | None = None  # what Kafka has, if that is not below ours: nothing is published
        self._seq_before_first: Final = seq_of(entry.epoch, 0)
        self._mark = mark
        self._own = own
        if own is not None:
            normaliser.published_elsewhere(own)
        if mark is not None:
            self.begin_behind(mark.seq)

    @property
    def publishes(self) -> bool:
        """Whether the operator wants it published from here."""
        return self.entry.state is EntryState.ACTIVE and not self.retiring

    @property
    def last_frame_s(self) -> float | None:
        """When IB sent something of it last, in seconds since 1970."""
        return None if self.last_frame_ns is None else self.last_frame_ns / 1e9

    @property
    def flows(self) -> bool:
        """Whether ticks go to Kafka as they come; else they are held."""
        return not self.unsure and not self.retiring and self.entry.state is _ACTIVE

    @property
    def next_seq(self) -> int:
        return self._seq_before_first + self.count + 1

    @property
    def mark(self) -> Mark | None:
        """How far Kafka has the contract, as far as this worker knows; None rather than too little."""
        if self.unsure:
            return None
        former = self.former.acknowledged if self.former else None
        return self.writer.acknowledged or later_mark(former, self._mark)

    @property
    def sent(self) -> int | None:
        """Event time of the latest record that this process gave to Kafka, acknowledged or not."""
        return max((time for time in (self.writer.sent, self._own) if time is not None), default=None)

    @property
    def writers(self) -> list[PartitionWriter]:
        """All that may have records of it on their way."""
        own = [self.writer, self.depth.writer]
        return own if self.former is None else [*own, self.former]

    def is_stuck(self, *, unreachable: bool) -> bool:
        """Whether it is to be released, and Kafka does not answer: for its records, or (``unreachable``) at all."""
        if not self.retiring or self.released:
            return False
        return (self.taking_over and unreachable) or any(writer.stalled and not writer.idle for writer in self.writers)

    @property
    def state(self) -> ContractState:
        if self.released:
            return ContractState.RELEASED
        if self.refusal:
            return ContractState.REFUSED
        if self.silent_since is not None:
            return ContractState.SILENT
        if not self.confirmed:
            return ContractState.SUBSCRIBING
        if self.entry.state is EntryState.STANDBY:
            return ContractState.WARM if self.overlaps else ContractState.SUBSCRIBING
        if self.unsure or self.writer.stalled or (self.writer.used and self.writer.acknowledged is None):
            return ContractState.SUBSCRIBING
        return ContractState.PUBLISHING

    def learn(self, mark: Mark | None) -> None:
        """Kafka has at least this much of the contract."""
        self._mark = later_mark(self._mark, mark)
        if mark is not None:
            self.begin_behind(mark.seq)

    def begin_behind(self, seq: int) -> None:
        """No record has a lower number: an earlier epoch may have had more records than there are numbers between."""
        self.count = max(self.count, seq - self._seq_before_first)

    def wait_for_epoch(self, kafka_epoch: int) -> None:
        """Kafka has records of this epoch, or a higher one: readers would drop what is published under ours."""
        self.kafka_epoch = kafka_epoch
        self.unsure, self.taking_over = True, False

    def go_on(self, doubt: str = "") -> list[HeldTick]:
        """From now on ticks flow; what was held and Kafka has not comes first.

        ``doubt``: why it is not known what Kafka has.
        """
        self.unsure = self.taking_over = False
        mark = self._mark.event_time if self._mark else None
        if mark is not None:
            self.normaliser.published_elsewhere(mark)
        left = self.held.go_on(mark, self.sent)
        if doubt and left:
            left[0] = HeldTick(left[0].tick, doubt)
        elif doubt:
            self.interrupted = doubt
        return left

    def cut_off(self) -> None:
        """It may be somebody else's in a moment: it goes on with a higher epoch, if at all."""
        self.retiring = True
        self.taking_over = False
        self.unsure = True  # some of what was on its way may have arrived
        self.depth.on = False

    def never_published(self) -> None:
        """By nobody: so nothing is missing before the next tick."""
        self.interrupted = ""
        self.held.never_published()

    def release_if_idle(self) -> bool:
        """Count as released once nothing is, or will be, on its way to Kafka; whether it does by now."""
        idle = (
            not self.taking_over
            and self.writer.idle
            and self.depth.writer.idle
            and (self.former is None or self.former.idle)
        )
        if self.retiring and not self.released and idle:
            self.released = True
        return self.released

    def disconnected(self, why: str = "the connection to IB was lost") -> None:
        """The subscription is gone: what follows until the next one is not seen."""
        self.suspect(why)
        self.confirmed = self.overlaps = False

    def confirm(self, received_ns: int) -> None:
        """IB sends it."""
        self.confirmed, self.confirmed_ns = True, received_ns
        self.subscribed_s = None
        self.silent_since, self.refusal = None, ""

    def fall_silent(self, why: str) -> None:
        """It was asked for a full frame, and has not answered: the next frame confirms it again."""
        if self.silent_since is None:
            self.disconnected(why)
            self.silent_since = self.last_frame_s

    def refused(self, text: str) -> None:
        """IB will not send it, and says why."""
        self.disconnected(f"IB refused the subscription: {text}")
        self.refusal, self.silent_since = text, None

    def suspect(self, why: str) -> None:
        """It is subscribed, but updates may have been missed: its next frame shows whether nothing had happened."""
        if self.confirmed and not self.interrupted:
            self.interrupted = why

    def why(self, now_s: float) -> str:
        """Why it does not publish, for a person; empty where there is nothing to say.

        Of a contract that publishes: why its order book does not.
        """
        state = self.state
        if state is ContractState.REFUSED:
            return f"IB refuses it: {self.refusal}"
        if state is ContractState.SILENT and self.silent_since is not None:
            return f"IB sends nothing of it since {_clock(self.silent_since)}, although it trades; it is asked again"
        if state is not ContractState.SUBSCRIBING:
            return f"IB refuses its order book: {self.depth.refusal}" if self.depth.refusal else ""
        if self.kafka_epoch is not None:
            return (
                f"Kafka has it under epoch {self.kafka_epoch} already: it waits for a later one than {self.entry.epoch}"
            )
        if self.subscribed_s is not None and now_s - self.subscribed_s > _FIRST_FRAME_S:
            return f"IB has sent nothing of it since it was subscribed at {_clock(self.subscribed_s)}"
        if self.confirmed and self.taking_over:
            return "Kafka is asked how far it was published"
        if self.confirmed and self.writer.stalled:
            return "Kafka does not acknowledge its records"
        if self.confirmed and self.writer.used:
            return "Kafka has not acknowledged a record of it yet"
        return ""

    def report(self, now_s: float) -> Report:
        mark = self.mark
        return Report(
            conid=self.entry.conid,
            epoch=self.entry.epoch,
            state=self.state,
            event_time=mark.event_time if mark else None,
            seq=mark.seq if mark else None,
            last_tick_time=_rfc3339(self.last_frame_s),
            message=self.why(now_s),
            kafka_epoch=self.kafka_epoch,
        )


def later_mark(one: Mark | None, other: Mark | None) -> Mark | None:
    marks = [mark for mark in (one, other) if mark is not None]
    return max(marks, key=lambda mark: (mark.event_time, mark.seq), default=None)


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC")


def _rfc3339(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
