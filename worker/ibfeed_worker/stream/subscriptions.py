"""The plan of subscriptions to send, renew and end. Pure: the desired set, the current one and the time go in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ibfeed_worker.ticks import FIELDS

RENEW_S: Final = 480.0  # IB ends a subscription after 10 or 15 minutes, in silence
MOST_AT_ONCE: Final = 10
PAUSE_S: Final = 0.1
REFUSED_AGAIN_S: Final = 60.0  # the first pause before a subscription that IB refused is tried again
_LONGEST_PAUSES: Final = 16  # times the first one
_GOLDEN: Final = 2654435761  # Knuth's multiplier: neighbouring conids are spread over the whole range


@dataclass(frozen=True, slots=True)
class SubscriptionStep:
    """One step towards the desired set: commands to send now, the state after them, and when to look again."""

    commands: tuple[bytes, ...]
    current: Mapping[int, float]
    started: tuple[int, ...]  # conids whose next frame is a full one
    renewed: tuple[int, ...]  # conids whose subscription goes on, as far as known, with a full frame
    refused: int  # desired contracts for which there is no line
    wake_at: float | None


def reconcile(
    desired: Sequence[int], current: Mapping[int, float], now: float, *, lines: int, most: int = MOST_AT_ONCE
) -> SubscriptionStep:
    """Return the next step. Times are monotonic seconds.

    Ends come before starts, so that a line is free before it is used, and starts before renewals. Commands that do not
    fit into one step are left for the next, ``PAUSE_S`` later.

    Args:
        desired: conids in order of importance; those that exceed ``lines`` are left out.
        current: conid to the time of its renewal.
        most: commands in one step.
    """
    kept = dict.fromkeys(desired[: max(lines, 0)])
    ended = [conid for conid in current if conid not in kept]
    missing = [conid for conid in kept if conid not in current]
    due = sorted((at, conid) for conid, at in current.items() if conid in kept and at <= now)
    work = [
        *((_end(conid), conid, None) for conid in ended),
        *((_start(conid), conid, now + first_renewal(conid)) for conid in missing),
        *((_start(conid), conid, now + RENEW_S) for _, conid in due),
    ]
    chosen = work[:most]
    then = dict(current)
    for _, conid, renew_at in chosen:
        if renew_at is None:
            del then[conid]
        else:
            then[conid] = renew_at
    started = tuple(conid for _, conid, _ in chosen if conid in then and conid not in current)
    renewed = tuple(conid for _, conid, _ in chosen if conid in then and conid in current)
    commands = tuple(command for command, _, _ in chosen)
    wake_at = now + PAUSE_S if len(work) > most else min(then.values(), default=None)
    return SubscriptionStep(commands, then, started, renewed, max(0, len(desired) - len(kept)), wake_at)


class Refusals:
    """The subscriptions that IB has answered with an error on this connection. Times are monotonic seconds.

    ``first`` is the pause before the first new try. It doubles with each refusal, up to 16 times that.
    """

    def __init__(self, first: float = REFUSED_AGAIN_S) -> None:
        self._first: Final = first
        self._again: dict[int, tuple[float, int]] = {}  # conid -> when to try again, and how often it was refused

    def add(self, conid: int, now: float) -> None:
        times = self._again.get(conid, (0.0, 0))[1]
        pause = self._first * min(2.0 ** min(times, 16), _LONGEST_PAUSES)
        self._again[conid] = now + pause, times + 1

    def forget(self, conid: int) -> None:
        """Forget a refusal, since IB sends the contract."""
        self._again.pop(conid, None)

    def asked(self, desired: Sequence[int], now: float) -> Sequence[int]:
        """Return those of ``desired`` that may be asked for now. The others have no line, nor do they take one."""
        if not self._again:
            return desired
        return [conid for conid in desired if self._again.get(conid, (now, 0))[0] <= now]

    def next_at(self, now: float) -> float | None:
        """Return when the next one is to be tried again."""
        return min((at for at, _ in self._again.values() if at > now), default=None)


def end(conids: Collection[int], current: Mapping[int, float]) -> SubscriptionStep:
    """Return the step that ends these subscriptions, all at once."""
    left = {conid: at for conid, at in current.items() if conid not in conids}
    return SubscriptionStep(tuple(_end(conid) for conid in conids), left, (), (), 0, None)


def first_renewal(conid: int) -> float:
    """Return the seconds to a contract's first renewal.

    They are spread over the second half of the period, so that renewals stay spread.
    """
    return RENEW_S * (0.5 + 0.5 * (conid * _GOLDEN % 2**32) / 2**32)


_ASKED: Final = msgspec.json.encode({"fields": FIELDS})


def _start(conid: int) -> bytes:
    return b"smd+%d+%b" % (conid, _ASKED)


def _end(conid: int) -> bytes:
    return b"umd+%d+{}" % conid
