"""Three days of IB maintenance in virtual time.

Does any account end up parked, how often does each log in, and how soon does everything stream once it is over?
Passwords are right all the while.

Nobody has written down what IB's servers do in maintenance, so each thing that users report is tried on its own: all of
it answers 503; nothing answers; logins pass and lead to nothing; the login page refuses every form with a text. Real is
what is real in the soak.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from datapath import kafka_side, virtual_time
from datapath.memory_api import Object
from datapath.soak import NAMESPACE, SERVERS, Run, Soak
from datapath.virtual_time import Clock, Outside
from ibfeed_api import log
from ibfeed_api.feed import Topic, Topics
from ibfeed_api.labels import ANNOTATION_PARKED
from ibfeed_operator.controller.snapshot import leases_path, shards_path
from ibfeed_simulator.venue.faults import Action, Condition
from ibfeed_simulator.venue.venue import Venue

HOURS: Final = 72.0
ACCOUNTS: Final = 4
START: Final = datetime(2026, 11, 16, 12, tzinfo=UTC)  # a Monday: it ends on a Thursday, while the market is open
_BEFORE: Final = timedelta(minutes=20)
_AFTER: Final = timedelta(hours=1)
_DAY_S: Final = 86_400.0
_LOOK_S: Final = 5.0

SAID: Final = "Our systems are undergoing maintenance. Please try again later."


@dataclass(frozen=True, slots=True)
class Kind:
    """``whole``: conditions of everybody, the page included; ``each``: of each worker's user."""

    whole: Mapping[Condition, str | None] = field(default_factory=dict)
    each: Mapping[Condition, str | None] = field(default_factory=dict)


KINDS: Final[Mapping[str, Kind]] = {
    "unavailable": Kind(whole={Condition.MAINTENANCE: None}),
    "hangs": Kind(whole={Condition.HANG: None}),
    "logins_lead_to_nothing": Kind(each={Condition.MAINTENANCE: None}),
    "page_refuses": Kind(whole={Condition.REFUSED: SAID}),
}


@dataclass(slots=True)
class Seen:
    """``forms``: elapsed seconds at which each user's form was sent; ``parked``: accounts that were, ever."""

    forms: dict[str, list[float]] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    sessions: dict[str, str] = field(default_factory=dict)  # by IbShard
    recovered_s: float | None = None  # until all streamed, after the end
    reasons: Counter[str] = field(default_factory=Counter)

    def logins_in_a_day(self) -> int:
        """The most that one account sent within 24 hours."""
        most = 0
        for times in self.forms.values():
            most = max([most, *(sum(begin <= at < begin + _DAY_S for at in times) for begin in times)])
        return most


class Maintenance(Soak):
    """The soak's world with four workers, a maintenance in place of its faults, and other things looked at."""

    def __init__(self, clock: Clock, outside: Outside, hours: float, kind: Kind, topics: Topics, folder: Path) -> None:
        self._lasts = timedelta(hours=hours)
        super().__init__(clock, outside, _BEFORE + self._lasts + _AFTER, topics, folder, workers=ACCOUNTS)
        self._kind = kind
        self.seen: Final = Seen()

    def _on_form(self, username: str) -> None:
        self.seen.forms.setdefault(username, []).append(self._clock.elapsed)

    def _note_session(self, path: str, body: Object, deleted: bool) -> None:
        super()._note_session(path, body, deleted)
        annotations = body["metadata"].get("annotations") or {}
        if path.startswith(leases_path(NAMESPACE)) and ANNOTATION_PARKED in annotations:
            self.seen.parked.add(path)
        if path.startswith(shards_path(NAMESPACE)):
            status = body.get("status") or {}
            self.seen.sessions[path] = status.get("session", "")

    async def _break(self, venue: Venue) -> None:
        await asyncio.sleep(_BEFORE / timedelta(seconds=1))
        users = [user.username for user in self._users]
        self._run.faults["maintenance"] += 1
        venue.actions[Action.EXPIRE_SSO](None, None)
        for condition, value in self._kind.whole.items():
            venue.conditions.set(condition, None, value)
        for condition, value in self._kind.each.items():
            for username in users:
                venue.conditions.set(condition, username, value)
        await asyncio.sleep(self._lasts / timedelta(seconds=1))
        venue.conditions.clear()
        over = self._clock.elapsed
        while not self._all_stream():  # noqa: ASYNC110 - what tells of it are many objects
            await asyncio.sleep(_LOOK_S)
        self.seen.recovered_s = self._clock.elapsed - over

    def _all_stream(self) -> bool:
        sessions = list(self.seen.sessions.values())
        return len(sessions) == ACCOUNTS and all(session == "Streaming" for session in sessions)


def simulate(say: Callable[[str], None], name: str, hours: float = HOURS) -> dict[str, Any]:
    """One kind of maintenance."""
    run_name = f"maintenance-{uuid.uuid4().hex[:8]}"
    topics = Topics(
        ticklast=Topic(name=f"{run_name}-ticks", partitions=4),
        l2_data=Topic(name=f"{run_name}-depth", partitions=1),
        feed_events=Topic(name=f"{run_name}-events", partitions=1),
    )
    with tempfile.TemporaryDirectory() as folder, kafka_side.deleted_afterwards(SERVERS, topics):

        async def main(clock: Clock, outside: Outside) -> tuple[Run, Seen]:
            world = Maintenance(clock, outside, hours, KINDS[name], topics, Path(folder))
            return await world.run(lambda _: None), world.seen

        run, seen = virtual_time.run(main, START)
    recovered = None if seen.recovered_s is None else round(seen.recovered_s / 60, 1)
    found = {
        "accounts_parked": len(seen.parked),
        "logins_in_a_day": seen.logins_in_a_day(),
        "forms": {user: len(times) for user, times in seen.forms.items()},
        "streaming_after_min": recovered,
        "sessions": dict(run.sessions),
        "wall_s": round(run.wall_s),
    }
    say(
        f"{name}, {hours:g} h: {found['accounts_parked']} parked, {found['logins_in_a_day']} logins at most of an"
        f" account and day, all stream after {recovered} min ({found['wall_s']} s)"
    )
    return found


def measure(say: Callable[[str], None], hours: float = HOURS) -> dict[str, Any]:
    """The phase. An account that did not come back counts as an hour, which is how long it is waited for."""
    kinds = {name: simulate(say, name, hours) for name in KINDS}

    def worst(*names: str) -> float:
        after = [kinds[name]["streaming_after_min"] for name in names]
        return max(_AFTER / timedelta(minutes=1) if one is None else float(one) for one in after)

    return {
        "maintenance_hours": hours,
        "maintenance_accounts_parked": max(found["accounts_parked"] for found in kinds.values()),
        "maintenance_logins_in_a_day": max(found["logins_in_a_day"] for found in kinds.values()),
        "maintenance_streaming_after_min": worst(*(name for name in KINDS if name != "page_refuses")),
        "maintenance_page_refuses_streaming_after_min": worst("page_refuses"),
        "maintenance": kinds,
    }


def main() -> int:
    """``python -m datapath.maintenance [hours] [kind]``; with ``SOAK_LOG=file`` the logs of all parts are kept."""
    if kept := os.environ.get("SOAK_LOG"):
        handler = logging.FileHandler(kept, "w")
        handler.setFormatter(log.JsonLines())
        logging.basicConfig(level=logging.INFO, handlers=[handler])
    else:
        logging.disable()
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else HOURS

    def say(text: str) -> None:
        print(text, flush=True)

    found = simulate(say, sys.argv[2], hours) if len(sys.argv) > 2 else measure(say, hours)
    print(msgspec.json.format(msgspec.json.encode(found)).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
