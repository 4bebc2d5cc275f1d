"""One contract of the shard for one epoch: what the operator wants, and how far it is. No I/O."""

from __future__ import annotations

from typing import Final

from ibfeed_api.records import seq_of
from ibfeed_api.shard import ContractState, Entry, EntryState, Mark
from ibfeed_worker.publish import PartitionWriter
from ibfeed_worker.stream.contract_state import Publication, Subscription
from ibfeed_worker.stream.depth import Depth
from ibfeed_worker.stream.handover_buffer import HandoverBuffer, HeldTick
from ibfeed_worker.ticks import Normaliser

_LIVE: Final = Publication.LIVE  # each look at a member of an enumeration costs as much as a call
_WARM: Final = Subscription.WARM
_CONFIRMED: Final = Subscription.CONFIRMED
_LOCATING: Final = Publication.LOCATING
_OVERTAKEN: Final = Publication.OVERTAKEN
_CLOSING: Final = Publication.CLOSING
_DRAINING: Final = Publication.DRAINING
_RELEASED: Final = Publication.RELEASED
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
    """A contract in one epoch. It begins on standby; ``locate``, ``go_on`` and ``retire`` lead on from there.

    Frames of IB move ``subscription``, the operator and Kafka move ``publication``.
    """

    def __init__(
        self,
        entry: Entry,
        *,
        writer: PartitionWriter,
        depth: Depth,
        former: Contract | None,
        count: int,
        located: bool,
        interrupted: str,
        own: int | None,
        fresh: bool,
    ) -> None:
        """Create a contract on standby.

        Args:
            entry: the operator's entry for it.
            writer: its way to the topic of ticks in this epoch.
            depth: its order book in this epoch.
            former: the same contract in an earlier epoch of this process. Its subscription and held ticks go on.
            count: the number of records of this epoch so far.
            located: whether it is known how far Kafka has it, although it is not to be published.
            interrupted: why ticks may be missing before the next one; empty if none are.
            own: event time (ms) of the latest record that this process gave to Kafka in an epoch before.
            fresh: nobody published it before.
        """
        self.entry = entry
        self.writer: Final = writer
        self.depth: Final = depth
        self.fresh: Final = fresh
        self.normaliser: Final[Normaliser] = (
            Normaliser(entry.conid, entry.symbol) if former is None else former.normaliser
        )
        self.held: Final[HandoverBuffer] = HandoverBuffer() if former is None else former.held
        self.count = count
        self.interrupted = interrupted
        self.subscription = Subscription.NEW
        self.publication = Publication.STANDBY
        self.located = located  # whether it is known here how far Kafka has the contract
        self.last_frame_ns: int | None = None
        self.broke_s: float | None = None  # when the latest frame came that ended a gap, in seconds since 1970
        self.data_type: str | None = None  # the latest 6509 of any connection
        self.told: ContractState | None = None  # the state in the latest report that anybody was told of
        self._confirmed_ns = 0  # when IB sent its first frame
        self.subscribed_s: float | None = None  # when IB was asked for it on this connection, in seconds since 1970
        self.silent_since: float | None = None  # its latest frame before it fell silent
        self.refusal = ""  # IB's words, until IB sends something
        self._former_writer: PartitionWriter | None = None  # whose records Kafka may not have answered for
        self.kafka_epoch: int | None = None  # what Kafka has, if that is not below ours
        self._seq_before_first: Final = seq_of(entry.epoch, 0)
        self._mark = later_mark(entry.mark, None if former is None else former.mark)
        self._own = own
        if own is not None:
            self.normaliser.published_elsewhere(own)
        if self._mark is not None:
            self.begin_behind(self._mark.seq)
        if former is not None:
            self._succeed(former)

    def _succeed(self, former: Contract) -> None:
        self.subscription = former.subscription
        self.last_frame_ns, self.broke_s = former.last_frame_ns, former.broke_s
        self.data_type = former.data_type
        self._confirmed_ns = former._confirmed_ns
        self.silent_since, self.refusal = former.silent_since, former.refusal
        self._former_writer = former.writer if former.writer.used else former._former_writer
        self.writer.follow(former.writer)
        self.begin_behind(former.next_seq - 1)
        self.depth.begin_behind(former.depth.last_seq)

    # The publication: moved by the operator and by Kafka.

    @property
    def publishes(self) -> bool:
        """Whether the operator wants it published from here."""
        return self.publication in (_LIVE, _LOCATING, _OVERTAKEN)

    @property
    def retires(self) -> bool:
        """Whether it is to be released, or is: only a later epoch leads on from there."""
        return self.publication in (_CLOSING, _DRAINING, _RELEASED)

    @property
    def waits_for_kafka(self) -> bool:
        """Whether Kafka is to be asked how far it has the contract."""
        return self.publication in (_LOCATING, _CLOSING)

    @property
    def flows(self) -> bool:
        """Whether ticks go to Kafka as they come; else they are held."""
        return self.publication is _LIVE

    @property
    def released(self) -> bool:
        return self.publication is _RELEASED

    def locate(self) -> None:
        """It is ours; nobody here knows how far Kafka has it."""
        self.publication, self.located = _LOCATING, False

    def learn(self, mark: Mark | None) -> None:
        """Kafka has at least this much of the contract."""
        self._mark = later_mark(self._mark, mark)
        if mark is not None:
            self.begin_behind(mark.seq)

    def go_on(self, doubt: str = "") -> list[HeldTick]:
        """Begin to publish, or, if it is to be released, publish for the last time.

        Returns the ticks that were held and that Kafka does not have.

        ``doubt``: why it is not known what Kafka has.
        """
        self.publication = _DRAINING if self.publication is _CLOSING else _LIVE
        self.located = True
        mark = self._mark.event_time if self._mark else None
        if mark is not None:
            self.normaliser.published_elsewhere(mark)
        left = self.held.go_on(mark, self.sent)
        if doubt and left:
            left[0] = HeldTick(left[0].tick, doubt)
        elif doubt:
            self.interrupted = doubt
        return left

    def overtaken(self, kafka_epoch: int) -> None:
        """Kafka has records of this epoch, or a higher one: readers would drop what is published under ours."""
        self.kafka_epoch = kafka_epoch
        self.publication = _DRAINING if self.publication is _CLOSING else _OVERTAKEN
        self.located = False

    def retire(self) -> None:
        """Another worker is to go on with it: it is to be released."""
        if not self.retires:
            self.publication = _CLOSING if self.publication is _LOCATING else _DRAINING

    def stop_locating(self) -> None:
        """There is no time left to ask Kafka: whoever comes next does."""
        if self.publication is _CLOSING:
            self.publication = _DRAINING

    def cut_off(self) -> None:
        """It may be somebody else's in a moment, and some of what was on its way may have arrived."""
        if self.publication is not _RELEASED:
            self.publication = _DRAINING
        self.located = False
        self.depth.on = False

    def release_if_idle(self) -> bool:
        """Release it once nothing is, or will be, on its way to Kafka; return whether that came about just now."""
        if self.publication is not _DRAINING or not all(writer.idle for writer in self.writers):
            return False
        self.publication = _RELEASED
        return True

    def is_stuck(self, *, unreachable: bool) -> bool:
        """Whether it is to be released, and Kafka does not answer: for its records, or (``unreachable``) at all.

        Records that were given up already are not waited for again.
        """
        if self.publication not in (_CLOSING, _DRAINING):
            return False
        return (self.publication is _CLOSING and unreachable) or any(
            writer.stalled and not writer.idle and not writer.over for writer in self.writers
        )

    def never_published(self) -> None:
        """Nobody published it before: so nothing is missing before the next tick."""
        self.interrupted = ""
        self.held.never_published()

    # The subscription: moved by IB.

    @property
    def confirmed(self) -> bool:
        """Whether IB has sent something since the subscription."""
        return self.subscription is _WARM or self.subscription is _CONFIRMED

    def subscribed(self, now_s: float) -> None:
        """IB is asked for it: its next frame is a full one."""
        self.disconnected("there was no line for it")  # if it was ever confirmed on this connection
        self.subscribed_s = self.subscribed_s or now_s
        self.normaliser.restart()

    def confirm(self, received_ns: int) -> None:
        """IB sends it."""
        self.subscription, self._confirmed_ns = _CONFIRMED, received_ns
        self.subscribed_s = self.silent_since = None
        self.refusal = ""

    def overlap(self, since_ns: int) -> bool:
        """Any other publisher of it has had the frame of ``since_ns``, too.

        Returns whether that is still the first frame.
        """
        if self.subscription is not _CONFIRMED or self._confirmed_ns != since_ns:
            return False
        self.subscription = _WARM
        return True

    def suspect(self, why: str) -> None:
        """It is subscribed, but updates may have been missed: its next frame shows whether nothing had happened."""
        if self.confirmed and not self.interrupted:
            self.interrupted = why

    def disconnected(self, why: str = "the connection to IB was lost") -> None:
        """The subscription is gone: what follows until the next one is not seen."""
        self.suspect(why)
        if self.confirmed:
            self.subscription = Subscription.NEW

    def connection_lost(self) -> None:
        self.disconnected()
        self.subscribed_s = None

    def fall_silent(self, why: str) -> None:
        """It was asked for a full frame, and has not answered: the next frame confirms it again."""
        self.disconnected(why)
        if self.subscription is Subscription.NEW and self.last_frame_ns is not None:
            self.subscription, self.silent_since = Subscription.SILENT, self.last_frame_s

    def refused(self, text: str) -> None:
        """IB will not send it, and says why."""
        self.disconnected(f"IB refused the subscription: {text}")
        self.subscription, self.refusal = Subscription.REFUSED, text

    def interruption(self) -> str:
        """Return why updates may be missing before the frame that came just now, and count it as told."""
        why, self.interrupted = self.interrupted, ""
        if why:
            self.broke_s = self.last_frame_s
        return why

    # Numbers and marks.

    @property
    def last_frame_s(self) -> float | None:
        """When IB sent something of it last, in seconds since 1970."""
        return None if self.last_frame_ns is None else self.last_frame_ns / 1e9

    @property
    def next_seq(self) -> int:
        return self._seq_before_first + self.count + 1

    def begin_behind(self, seq: int) -> None:
        """No record has a lower number: an earlier epoch may have had more records than there are numbers between."""
        self.count = max(self.count, seq - self._seq_before_first)

    @property
    def mark(self) -> Mark | None:
        """How far Kafka has the contract, as far as this worker knows; None rather than too little."""
        if not self.located:
            return None
        former = self._former_writer.acknowledged if self._former_writer else None
        return self.writer.acknowledged or later_mark(former, self._mark)

    @property
    def sent(self) -> int | None:
        """Event time of the latest record that this process gave to Kafka, acknowledged or not."""
        return max((time for time in (self.writer.sent, self._own) if time is not None), default=None)

    @property
    def writers(self) -> list[PartitionWriter]:
        """All that may have records of it on their way."""
        own = [self.writer, self.depth.writer]
        return own if self._former_writer is None else [*own, self._former_writer]

    # The state that the operator is told.

    @property
    def state(self) -> ContractState:
        if self.publication is _RELEASED:
            return ContractState.RELEASED
        match self.subscription:
            case Subscription.REFUSED:
                return ContractState.REFUSED
            case Subscription.SILENT:
                return ContractState.SILENT
            case Subscription.NEW:
                return ContractState.SUBSCRIBING
            case _:
                return self._state_of_confirmed()

    def _state_of_confirmed(self) -> ContractState:
        if self.entry.state is EntryState.STANDBY:
            return ContractState.WARM if self.subscription is _WARM else ContractState.SUBSCRIBING
        if not self.located or self.writer.stalled or (self.writer.used and self.writer.acknowledged is None):
            return ContractState.SUBSCRIBING
        return ContractState.PUBLISHING


def later_mark(one: Mark | None, other: Mark | None) -> Mark | None:
    marks = [mark for mark in (one, other) if mark is not None]
    return max(marks, key=lambda mark: (mark.event_time, mark.seq), default=None)
