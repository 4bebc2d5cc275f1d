"""One life of the websocket: connect, wait until IB speaks, subscribe, read, notice the end."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from ibfeed_api.backoff import delay
from ibfeed_api.log import Log
from ibfeed_worker.book import conid_of
from ibfeed_worker.stream import ladder
from ibfeed_worker.stream.dispatcher import Dispatcher, FrameCounters
from ibfeed_worker.stream.frame import Frame, tidy
from ibfeed_worker.stream.ladder import Asked, Target
from ibfeed_worker.stream.recorder import NO_RECORDER, Recorder, recorded
from ibfeed_worker.stream.session_facts import SessionFacts, account_of
from ibfeed_worker.stream.staleness import Patience, StalenessVerdict
from ibfeed_worker.stream.subscriptions import REFUSED_AGAIN_S, Refusals, SubscriptionStep, end, reconcile
from ibfeed_worker.ticks import SmdFrame

_log: Final = Log(__name__)
_LARGEST_FRAME: Final = 1024 * 1024
_SAMPLE_PAUSE_S: Final = 30.0
_SAMPLE_LENGTH: Final = 200
_UNHEEDED_S: Final = 5.0  # what is on its way when a subscription ends still comes
_LONGEST_UNHEEDED_S: Final = 320.0
_NO_SESSION: Final = "no bridge"  # in the error that a brokerage session which is over leaves of a command
_BINARY: Final = WSMsgType.BINARY  # what IB sends; to look a member up, or hash it, costs more than to decode
_MESSAGES: Final = frozenset((WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.CONTINUATION))


@dataclass(frozen=True, slots=True)
class Link:
    """Where the stream is. ``cookie`` is the session of ``/tickle``, a secret; ``ssl`` pins the certificate."""

    url: str  # wss://127.0.0.1:5000/v1/api/ws
    ssl: ssl.SSLContext
    cookie: str = field(repr=False)
    allow_live: bool = False  # else a session that is not on paper is refused before anything is subscribed


class End(StrEnum):
    """Why a stream ended."""

    CONNECT_FAILED = "connect_failed"
    SILENT_START = "silent_start"  # no first ``system`` frame in time: the gateway's upstream is away or hangs
    SESSION_DEAD = "session_dead"  # IB waits for a session: log in again
    SILENT = "silent"  # no heartbeat for too long
    SILENT_FEED = "silent_feed"  # heartbeats go on, and nothing else comes although it should
    CLOSED = "closed"
    NOT_PAPER = "not_paper"


@dataclass(frozen=True, slots=True)
class StreamEnd:
    reason: End
    text: str
    silent_in_a_row: int = 0  # connections, this one included, on which no market data came although it should have


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. IB sends a heartbeat every 10 s and wants a ``tic`` at least once a minute.

    ``overlap``: IB cuts each account's snapshots at other moments, up to 500 ms apart. So long after our first frame,
    whoever publishes a contract from another account has had what that frame showed.
    """

    connect: float = 10.0
    first_frame: float = 15.0
    heartbeat: float = 25.0
    tic: float = 30.0
    overlap: float = 0.75
    refused_again: float = REFUSED_AGAIN_S
    patience: Patience = field(default_factory=Patience)


class Sink(Protocol):
    """The receiver of frames."""

    def on_smd(self, frame: SmdFrame, received_ns: int) -> None: ...

    def on_sbd(self, frame: Frame, received_ns: int) -> bool:
        """Whether it brought rows."""

    def on_session(self, facts: SessionFacts) -> None: ...

    def on_refused(self, conid: int, text: str) -> None:
        """IB answered the contract's subscription with an error."""

    def on_ladder_refused(self, conid: int, text: str) -> None:
        """IB answered the ladder's subscription with an error; it is asked for again after a pause."""

    def on_subscribed(self, conids: Sequence[int]) -> None:
        """Their next frame is a full one."""

    def on_renewed(self, conids: Sequence[int]) -> None:
        """They are asked for a full frame, whether or not the subscription was still there."""

    def desired(self) -> Sequence[int]:
        """Conids to be subscribed, most important first."""

    @property
    def lines(self) -> int: ...

    def on_ladder(self) -> None:
        """The ladder was asked for, or ended: rows that came before are void."""

    def desired_ladder(self) -> Target | None:
        """The contract whose order book to subscribe."""

    def assess_staleness(self, subscribed: Collection[int]) -> StalenessVerdict:
        """Which subscriptions are silent for too long."""


class Connection(WSListener):
    """Used once. ``run`` is its life; ``nudge`` makes it look at the desired set again."""

    def __init__(self, sink: Sink, counters: FrameCounters, timing: Timing, recorder: Recorder = NO_RECORDER) -> None:
        super().__init__()
        self._recorder: Final = recorder
        self._sink: Final = sink
        self._counters: Final = counters
        self._timing: Final = timing
        self._messages: Final = Dispatcher(
            counters,
            on_quote=sink.on_smd,
            on_other=self._on_other,
            on_malformed=lambda payload: self._sample("a message is malformed", payload),
        )
        self.on_message: Final = recorded(self._messages.dispatch, recorder)
        self._facts = SessionFacts()
        self._current: Mapping[int, float] = {}
        self._refusals: Final = Refusals(timing.refused_again)
        self._ended: dict[int, tuple[float, int]] = {}  # conid -> when umd was sent last, and how often
        self._account: str | None = None
        self._asked: Asked | None = None
        self._allow_live = False
        self._leaving = False
        self._opened_at = 0.0
        self._heard_at: float | None = None  # the latest ``system`` frame
        self._tic_at = 0.0
        self._look_at = 0.0
        self._end: StreamEnd | None = None
        self._wake: Final = asyncio.Event()
        self._transport: WSTransport | None = None
        self._sampled_at = -_SAMPLE_PAUSE_S

    @property
    def subscribed(self) -> int:
        """Lines in use."""
        return len(self._current)

    def nudge(self) -> None:
        self._wake.set()

    def renew(self, conid: int) -> None:
        """Ask for a full frame, if the contract is still subscribed for somebody who has gone."""
        if conid in self._current:
            self._current = {**self._current, conid: time.monotonic()}

    def renew_ladder(self) -> None:
        """The ladder is dead: ask for it again."""
        if self._asked is not None:
            self._asked = self._asked.dead(time.monotonic())
        self._wake.set()

    async def run(self, link: Link) -> StreamEnd:
        """Returns why it ended. Cancel it to end it from here."""
        self._allow_live = link.allow_live
        transport: WSTransport | None = None
        try:
            async with asyncio.timeout(self._timing.connect):
                transport, _ = await ws_connect(
                    lambda: self,
                    link.url,
                    ssl_context=link.ssl,
                    websocket_handshake_timeout=self._timing.connect,
                    max_frame_size=_LARGEST_FRAME,
                    max_redirects=0,
                    extra_headers={"Cookie": f'api={{"session":"{link.cookie}"}}', "User-Agent": "ibfeed"},
                )
        except (OSError, WSError, TimeoutError) as error:
            return StreamEnd(End.CONNECT_FAILED, _describe(error))
        self._transport = transport
        self._recorder.opened(time.time_ns())
        self._counters.connections += 1
        self._opened_at = time.monotonic()
        try:
            return await self._live()
        finally:
            self._transport = None
            self._current = {}
            self._asked = None
            transport.disconnect(graceful=False)

    def unsubscribe_all(self) -> None:
        """End every subscription at once, on the way out: nothing is subscribed on this connection any more."""
        self._leaving = True
        self._carry_out(end(tuple(self._current), self._current))
        self._tend_ladder(None, time.monotonic())

    async def _live(self) -> StreamEnd:
        while self._end is None:
            self._wake.clear()
            now = time.monotonic()
            wake_at, self._end = self._due(now)
            if self._end is None:
                try:
                    async with asyncio.timeout(max(0.0, wake_at - now)):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        return self._end

    def _due(self, now: float) -> tuple[float, StreamEnd | None]:
        """Do what is due; when to look again, and the end if it has come."""
        timing = self._timing
        if self._heard_at is None:
            deadline = self._opened_at + timing.first_frame
            if now >= deadline:
                return now, StreamEnd(End.SILENT_START, f"no system frame within {timing.first_frame:g} s")
            return deadline, self._end
        deadline = self._heard_at + timing.heartbeat
        if now >= deadline:
            return now, StreamEnd(End.SILENT, f"no heartbeat for {timing.heartbeat:g} s")
        if now >= self._tic_at:
            self._send(b"tic")
            self._tic_at = now + timing.tic
        if now >= self._look_at:
            self._look_at = now + timing.patience.look
            if not self._leaving and self._silent(now):
                return now, StreamEnd(End.SILENT_FEED, "heartbeats go on, but no market data while there is trading")
        desired = () if self._leaving else self._refusals.asked(self._sink.desired(), now)
        step = reconcile(desired, self._current, now, lines=self._sink.lines)
        self._carry_out(step)
        again_at = self._tend_ladder(None if self._leaving else self._sink.desired_ladder(), now)
        waits = (deadline, self._tic_at, self._look_at, step.wake_at, again_at, self._refusals.next_at(now))
        return min(wait for wait in waits if wait is not None), self._end

    def _silent(self, now: float) -> bool:
        """Ask who is silent for a full frame, subscribe the dead anew; whether all of them are."""
        verdict = self._sink.assess_staleness(self._current.keys())
        if verdict.renew:
            self._current = {**self._current, **dict.fromkeys(verdict.renew, now)}
        if verdict.died:
            self._carry_out(end(verdict.died, self._current))
        return verdict.silent

    def on_stray(self, conid: int) -> None:
        """A frame of a contract that is nobody's came: if it was unsubscribed a while ago, IB did not hear of it."""
        at, times = self._ended.get(conid, (math.inf, 0))
        now = time.monotonic()
        if now - at > delay(_UNHEEDED_S, _LONGEST_UNHEEDED_S, times + 1):
            self._ended[conid] = now, times + 1
            self._counters.unsubscribed_again += 1
            for command in end((conid,), {}).commands:
                self._send(command)

    def _carry_out(self, step: SubscriptionStep) -> None:
        now = time.monotonic()
        for conid in self._current.keys() - step.current.keys():
            self._ended[conid] = now, 0
        for conid in step.started:
            self._ended.pop(conid, None)
        for command in step.commands:
            self._send(command)
        ended = sum(command.startswith(b"umd") for command in step.commands)
        self._counters.unsubscribed += ended
        self._counters.subscribed += len(step.commands) - ended
        self._counters.refused = step.refused
        self._current = step.current
        if step.started:
            self._sink.on_subscribed(step.started)
        if step.renewed:
            self._sink.on_renewed(step.renewed)

    def _tend_ladder(self, wanted: Target | None, now: float) -> float | None:
        """Ask for the ladder as far as it is due; when to look again."""
        step = ladder.reconcile(wanted, self._account, self._asked, now)
        for command in step.commands:
            self._send(command)
            ended = command.startswith(b"ubd")
            self._counters.ladders_ended += ended
            self._counters.ladders_asked += not ended
        self._asked = step.asked
        if step.commands:
            self._sink.on_ladder()
        return step.asked.again_at if step.asked else None

    def _send(self, text: bytes) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, text)
            self._recorder.sent(text, time.time_ns())

    def _finish(self, reason: End, text: str) -> None:
        if self._end is None:
            self._end = StreamEnd(reason, text)
        self._wake.set()

    # Callbacks of picows.

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind is _BINARY or kind in _MESSAGES:
            self.on_message(frame.get_payload_as_bytes(), time.time_ns())
        elif kind == WSMsgType.CLOSE:
            self._finish(End.CLOSED, f"closed by the gateway with code {frame.get_close_code()}")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._finish(End.CLOSED, "the connection broke")

    def _on_other(self, frame: Frame, payload: bytes, received_ns: int) -> None:
        topic = frame.topic.partition("+")[0]
        if topic == "system":
            self._on_system(frame)
        elif topic == "sts":
            self._say(self._facts.merged(bytes(frame.args)))
        elif frame.error is not None:
            self._counters.errors += 1
            self._sample("IB answered with an error", payload)
            if _NO_SESSION in frame.error:  # of a session that ran out no ``sts`` frame need tell
                self._say(replace(self._facts, authenticated=False))
            elif topic == "smd":
                self._on_refusal(frame, frame.error)
            elif topic == "sbd" and self._asked is not None and conid_of(frame.topic) == self._asked.target.conid:
                self._sink.on_ladder_refused(self._asked.target.conid, tidy(frame.error))
        elif topic == "sbd":
            self._on_ladder_frame(frame, received_ns)
        elif topic == "act":
            self._account = account_of(bytes(frame.args)) or self._account
            self._wake.set()
        elif not topic and frame.message == "waiting for session":
            self._finish(End.SESSION_DEAD, "IB waits for a session: this one is over")
        elif topic not in ("tic", "ntf", "blt"):
            self._counters.unknown += 1
            self._sample("a frame of an unknown topic", payload)

    def _on_refusal(self, frame: Frame, error: str) -> None:
        """IB will not send a contract: it takes no line, and is tried again after a while."""
        conid = frame.contract()
        if conid is None or conid not in self._current:
            return
        self._current = {other: at for other, at in self._current.items() if other != conid}
        self._refusals.add(conid, time.monotonic())
        self._sink.on_refused(conid, tidy(error))
        self._wake.set()

    def confirmed(self, conid: int) -> None:
        """IB sends the contract."""
        self._refusals.forget(conid)

    def _say(self, facts: SessionFacts) -> None:
        self._facts = facts
        self._sink.on_session(facts)

    def _on_ladder_frame(self, frame: Frame, received_ns: int) -> None:
        asked = self._asked
        if asked is None or conid_of(frame.topic) != asked.target.conid:
            return  # of a ladder that has been ended since: what is on its way still comes
        if self._sink.on_sbd(frame, received_ns):
            self._asked = asked.answered()

    def _on_system(self, frame: Frame) -> None:
        if frame.is_paper is False and not self._allow_live:
            self._finish(End.NOT_PAPER, "this is not a paper account, and accounts.allowLive is false")
            return
        first = self._heard_at is None
        self._heard_at = time.monotonic()
        if first:
            self._tic_at = self._heard_at + self._timing.tic
            self._look_at = self._heard_at + self._timing.patience.look
            self._wake.set()

    def _sample(self, what: str, payload: bytes) -> None:
        """Log one example now and then, whatever comes."""
        now = time.monotonic()
        if now - self._sampled_at >= _SAMPLE_PAUSE_S:
            self._sampled_at = now
            _log.warning(what, example=payload[:_SAMPLE_LENGTH].decode(errors="replace"))


def _describe(error: BaseException) -> str:
    """The error's text without the request's headers, which hold the session."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the gateway answered {int(response.status)}"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return f"{type(error).__name__}: {error.strerror or error}"
    return type(error).__name__
