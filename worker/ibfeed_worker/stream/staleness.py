"""The judgement whether a silent subscription is quiet or dead. Pure: frames, trading hours and the time go in.

A heartbeat proves nothing about a feed, and a contract may have nothing to say for minutes. So a line is suspected
when, while it trades, it is silent for longer than its own recent pace suggests. It is then asked for a full frame, by
a renewal. An answer proves the line alive. Without one it is dead, and is subscribed again, after ever longer pauses.

Once one line proves dead, the others of the connection are asked as well. If none has sent anything since the first was
suspected, and none answers, the feed is silent as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

_GAPS: Final = 20  # gaps that a contract's pace is taken from
_FEWEST_GAPS: Final = 5
_TIMES: Final = 3.0  # times the longest gap; a shorter silence is not suspected


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of the judgement, in seconds.

    A liquid line that dies is suspected after ``shortest`` and one look. It is subscribed again after ``answer`` and
    one more look.
    """

    shortest: float = 20.0  # of silence, however fast the contract ticks
    unknown: float = 300.0  # as long as its pace is not known
    longest: float = 900.0
    opening: float = 60.0  # after the session has opened: the first quote may take its time
    answer: float = 8.0  # from asking a line for a full frame to its arrival
    first: float = 15.0  # the same for a new subscription, and for all lines together
    longest_answer: float = 900.0
    unproven: float = 3.0  # from asking to saying that the line is silent
    fresh: float = 5.0  # a line heard so lately need not be asked because of another line
    look: float = 4.0  # between two looks at all contracts


@dataclass(frozen=True, slots=True)
class LinePace:
    """The pace and state of one contract's subscription. Times are seconds since 1970."""

    heard: float | None = None  # the latest frame at the last look
    gaps: tuple[float, ...] = ()  # between frames while it traded, as far as looks now and then show
    asked: float | None = None  # when a full frame was asked for last, if it has not come
    doubted: float | None = None  # when it was first asked because of a silence
    tries: int = 0  # tries in a row that brought nothing

    @property
    def dead(self) -> bool:
        return self.tries > 0

    def begun(self, now: float) -> LinePace:
        """Return the line as subscribed on a new connection: its first frame is due."""
        return replace(self, asked=now, doubted=None, tries=0)

    def suspected(self, now: float) -> LinePace:
        """Return the line as asked for a full frame, by a renewal or a new subscription."""
        return replace(self, asked=now, doubted=self.doubted if self.doubted is not None else now)

    def patience(self, patience: Patience) -> float:
        if len(self.gaps) < _FEWEST_GAPS:
            return patience.unknown
        return min(max(_TIMES * max(self.gaps), patience.shortest), patience.longest)

    def answer(self, patience: Patience, factor: float) -> float:
        """Return how long an answer may take, in seconds.

        ``factor`` grows with each connection that brought nothing.
        """
        usual = patience.first if self.doubted is None else patience.answer
        return min(usual * factor * 2.0 ** min(self.tries, 16), patience.longest_answer)


@dataclass(frozen=True, slots=True)
class LinePaces:
    """All lines of one websocket, by conid."""

    lines: Mapping[int, LinePace] = field(default_factory=dict)
    all_asked: float | None = None  # when all were asked, and none has answered yet


class Sight(NamedTuple):
    """The view of a contract now."""

    heard: float | None  # its latest frame
    open_since: float | None  # its session's opening; None: closed or not known, so its silence says nothing
    broke: float | None = None  # its latest frame that showed that something had been missed


class StalenessVerdict(NamedTuple):
    """The verdict of one look: the new state, and what to do about which contracts."""

    feed: LinePaces
    renew: tuple[int, ...] = ()  # contracts to ask for a full frame
    died: tuple[int, ...] = ()  # contracts to subscribe again
    unproven: tuple[int, ...] = ()  # suspected contracts that have not answered
    silent: bool = False  # no line says anything: the connection or the session is at fault


def assess_staleness(
    feed: LinePaces, sights: Mapping[int, Sight], now: float, patience: Patience, *, silent_before: int = 0
) -> StalenessVerdict:
    """Judge all lines of a connection.

    Args:
        sights: the contracts that are subscribed.
        silent_before: connections in a row that were silent as a whole. Each gives the next one twice the time.
    """
    before = {conid: feed.lines.get(conid) for conid in sights}
    lines = {conid: _look(before[conid], sight, now) for conid, sight in sights.items()}
    trading = [conid for conid, sight in sights.items() if _trades(sight, now, patience)]
    factor = 2.0 ** min(silent_before, 16)
    renew, died = [], []
    for conid in trading:
        line, since = lines[conid], (sights[conid].open_since or now) + patience.opening
        if line.asked is None:
            if now - max(line.heard or 0.0, since) > line.patience(patience):
                renew.append(conid)
        elif now - max(line.asked, since) > line.answer(patience, factor):
            died.append(conid)
    if any(not lines[conid].dead for conid in died) or any(_was_dead(before[c], sights[c]) for c in sights):
        renew += [conid for conid in trading if conid not in renew and _is_due(lines[conid], now, patience)]
    heard = max((line.heard for line in lines.values() if line.heard is not None), default=0.0)
    all_asked = feed.all_asked if feed.all_asked is not None and heard < feed.all_asked and trading else None
    silent = all_asked is not None and now - all_asked > min(patience.first * factor, patience.longest_answer)
    if all_asked is None and any(heard < (lines[conid].asked or now) for conid in died):
        all_asked = now
        renew += [conid for conid in lines if conid not in died and conid not in renew]
    for conid in renew:
        lines[conid] = lines[conid].suspected(now)
    for conid in died:
        lines[conid] = replace(lines[conid].suspected(now), tries=lines[conid].tries + 1)
    unproven = [conid for conid in trading if _is_unproven(lines[conid], now, patience)]
    return StalenessVerdict(LinePaces(lines, all_asked), tuple(renew), tuple(died), tuple(unproven), silent)


def _look(line: LinePace | None, sight: Sight, now: float) -> LinePace:
    """Return the line with what has come since the last look.

    A new one is subscribed just now, and may have answered.
    """
    heard, since, broke = sight
    if line is None:
        return LinePace(heard, asked=now if heard is None else None)
    if heard is not None and (line.heard is None or heard > line.heard):
        gaps = line.gaps
        # A silence in which something was missed is no pace: else each one would make the next one longer.
        whole = broke is None or broke <= (line.heard or 0.0)
        if whole and line.heard is not None and since is not None and heard > max(line.heard, since):
            gaps = (*gaps, heard - max(line.heard, since))[-_GAPS:]
        answered = line.asked is None or heard >= line.asked
        line = LinePace(heard, gaps) if answered else replace(line, heard=heard, gaps=gaps)
    return line if since is not None or line.asked is None else line.begun(now)


def _trades(sight: Sight, now: float, patience: Patience) -> bool:
    return sight.open_since is not None and now - sight.open_since > patience.opening


def _was_dead(before: LinePace | None, sight: Sight) -> bool:
    """Whether a line that was suspected has just shown that it had missed something."""
    return (
        before is not None and before.doubted is not None and sight.broke is not None and sight.broke > before.doubted
    )


def _is_due(line: LinePace, now: float, patience: Patience) -> bool:
    return line.asked is None and line.heard is not None and now - line.heard > patience.fresh


def _is_unproven(line: LinePace, now: float, patience: Patience) -> bool:
    return line.doubted is not None and line.heard is not None and now - line.doubted >= patience.unproven
