"""The judge of silence in worlds of our making: sessions, paces, and lines that die without a word."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_worker.hours.hours import Hours, Span
from ibfeed_worker.stream.staleness import LinePace, LinePaces, Patience, Sight, StalenessVerdict, assess_staleness

DAY = 86_400.0
NOW = 1_790_000_000.0
PATIENCE = Patience()
SELDOM = Patience(look=20.0)  # for whole days
# By then a line that dies while it trades is known to be dead, from its death or its session's beginning on.
WORST = SELDOM.longest + SELDOM.opening + SELDOM.answer + 3 * SELDOM.look
ALL_WORST = WORST + SELDOM.answer + 2 * SELDOM.look


@dataclass
class World:
    """Lines that tick at their own pace while they trade and answer when asked, open or not, unless they are dead."""

    hours: dict[int, Hours]
    pace: dict[int, float]  # seconds between frames, on average; 0: never by itself
    dice: random.Random
    patience: Patience = PATIENCE
    now: float = NOW
    dead: set[int] = field(default_factory=set)
    feed: LinePaces = field(default_factory=LinePaces)
    heard: dict[int, float] = field(default_factory=dict)
    broke: dict[int, float] = field(default_factory=dict)
    until_subscribed: set[int] = field(default_factory=set)  # dead until they are subscribed again
    until_renewed: set[int] = field(default_factory=set)  # dead until they are asked for a full frame
    unproven: list[tuple[float, int]] = field(default_factory=list)
    renewed: list[tuple[float, int]] = field(default_factory=list)
    died: list[tuple[float, int]] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)

    def answer(self, conid: int) -> None:
        if conid not in self.dead:
            self.heard[conid] = self.now + self.dice.uniform(0.05, 2.0)

    def subscribe(self) -> None:
        """Some seconds before the first look: some have answered by then."""
        self.now -= 1.0
        for conid in self.hours:
            self.answer(conid)
        self.now += 1.0

    def look(self) -> StalenessVerdict:
        sights = {
            conid: Sight(self._heard(conid), hours.open_since(self.now), self._past(self.broke.get(conid)))
            for conid, hours in self.hours.items()
        }
        verdict = assess_staleness(self.feed, sights, self.now, self.patience)
        self.feed = verdict.feed
        for conid in (*verdict.renew, *verdict.died):
            asleep = self.until_subscribed & set(verdict.died) | self.until_renewed
            if conid in self.dead & asleep:  # something was missed, which its full frame shows
                self.dead.discard(conid)
                self.answer(conid)
                self.broke[conid] = self.heard[conid]
            self.answer(conid)
        self.unproven += [(self.now, conid) for conid in verdict.unproven]
        self.renewed += [(self.now, conid) for conid in verdict.renew]
        self.died += [(self.now, conid) for conid in verdict.died]
        if verdict.silent:
            self.silent.append(self.now)
        return verdict

    def _heard(self, conid: int) -> float | None:
        return self._past(self.heard.get(conid))

    def _past(self, at: float | None) -> float | None:
        return at if at is None or at <= self.now else None

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            for conid, hours in self.hours.items():
                trades = hours.open_since(self.now) is not None and conid not in self.dead
                pace = self.pace[conid]
                if trades and pace and self.dice.random() < self.patience.look / max(pace, self.patience.look):
                    self.heard[conid] = self.now - self.dice.uniform(0, self.patience.look / 2)
            self.look()
            self.now += self.patience.look


def spans(cuts: list[float]) -> Hours:
    """Sessions between each two of ``cuts`` (hours from now, in order)."""
    moments = [NOW + cut * 3600 for cut in sorted(cuts)]
    pairs = zip(moments[::2], moments[1::2], strict=False)
    return Hours.of(Span(a, b) for a, b in pairs if a < b)


HOURS = st.lists(st.floats(-2, 30), max_size=8).map(spans)
ALWAYS = Hours((Span(NOW - DAY, NOW + 3 * DAY),))
PACES = st.sampled_from([0.5, 2.0, 20.0, 120.0, 600.0, 0.0])
WORLDS = st.builds(
    lambda lines, seed: World(
        {conid: hours for conid, (hours, _) in enumerate(lines)},
        {conid: pace for conid, (_, pace) in enumerate(lines)},
        random.Random(seed),
        SELDOM,
    ),
    st.lists(st.tuples(HOURS | st.just(ALWAYS) | st.just(Hours()), PACES), min_size=1, max_size=5),
    st.integers(0, 2**32),
)


@settings(max_examples=10, deadline=None)
@given(WORLDS)
def test_a_line_that_answers_is_never_taken_for_dead_however_quiet_it_is(world: World) -> None:
    world.subscribe()
    world.run(8 * 3600)
    assert world.died == []
    assert world.silent == []


@settings(max_examples=10, deadline=None)
@given(WORLDS)
def test_nobody_is_asked_while_closed_and_seldom_while_quiet(world: World) -> None:
    world.subscribe()
    world.run(8 * 3600)
    for moment, conid in world.renewed:
        assert world.hours[conid].open_since(moment) is not None
    for conid in world.hours:
        # Pauses grow with what was found out: a dozen questions on the way, then one for each longest patience.
        assert sum(asked == conid for _, asked in world.renewed) < 20 + 8 * 3600 / PATIENCE.longest * 2


@settings(max_examples=20, deadline=None)
@given(WORLDS, st.floats(0, 4 * 3600), st.data())
def test_a_line_that_dies_is_found_while_it_trades_and_nobody_else_is_blamed(
    world: World, before: float, data: st.DataObject
) -> None:
    victim = data.draw(st.sampled_from(sorted(world.hours)))
    world.subscribe()
    world.run(before)
    others = {conid: hours for conid, hours in world.hours.items() if conid != victim}
    world.dead = {victim}
    since = world.now
    world.run(12 * 3600)
    assert {conid for _, conid in world.died} <= {victim}
    sessions = [Span(max(span.opening, since), span.closing) for span in world.hours[victim].spans]
    long_enough = [span for span in sessions if min(span.closing, world.now) - span.opening > WORST]
    for span in long_enough[:1]:
        assert any(span.opening <= moment <= span.opening + WORST for moment, _ in world.died)
    if not long_enough and not sessions:
        assert world.died == []
    if others:
        assert world.silent == []  # they answer, open or closed


@settings(max_examples=10, deadline=None)
@given(WORLDS, st.floats(600, 4 * 3600))
def test_a_feed_that_goes_silent_as_a_whole_is_found_if_anything_trades(world: World, before: float) -> None:
    world.subscribe()
    world.run(before)
    world.dead = set(world.hours)
    since = world.now
    world.run(12 * 3600)
    for hours in world.hours.values():
        for span in hours.spans:
            begin = max(span.opening, since)
            if min(span.closing, world.now) - begin > ALL_WORST:
                assert any(moment <= begin + ALL_WORST for moment in world.silent)
    if not any(hours.spans for hours in world.hours.values()):
        assert world.silent == []


def test_a_fast_contract_is_asked_within_24_s_and_subscribed_within_36() -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 0.5}, random.Random(1))
    world.subscribe()
    world.run(600)
    world.dead = {1}
    since = world.now
    world.run(120)
    assert 16 <= world.renewed[0][0] - since <= 24
    assert 24 <= world.died[0][0] - since <= 36
    assert world.silent == []
    assert world.feed.lines[1].dead
    world.dead = set()
    world.run(600)
    assert not world.feed.lines[1].dead


@pytest.mark.parametrize("wakes", ["renewed", "subscribed"])
def test_the_fifth_silence_is_found_as_fast_as_the_first(wakes: str) -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 0.5}, random.Random(1))
    (world.until_renewed if wakes == "renewed" else world.until_subscribed).add(1)
    world.subscribe()
    world.run(600)
    found = []
    for _ in range(5):
        world.dead, since = {1}, world.now
        while 1 in world.dead:
            world.run(world.patience.look)
        found.append(world.now - since)
        world.run(720)
    assert max(found) <= 40, found


def test_a_quiet_time_in_which_nothing_was_missed_is_a_pace() -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 0.5}, random.Random(1))
    world.subscribe()
    world.run(600)
    world.pace[1] = 0.0
    world.run(300)
    asked = [moment for moment, conid in world.renewed if conid == 1]
    assert len(asked) <= 3, "each answer adds to the patience"


def test_once_a_line_proves_dead_its_sisters_are_asked_at_once() -> None:
    world = World({1: ALWAYS, 2: ALWAYS, 3: ALWAYS}, {1: 0.5, 2: 120.0, 3: 0.5}, random.Random(1))
    world.until_subscribed = {1}
    world.subscribe()
    world.run(3600)
    world.dead, world.renewed, world.died, world.pace[2] = {1}, [], [], 0.0
    world.run(60)
    died = world.died[0][0]
    asked = [(moment, conid) for moment, conid in world.renewed if conid != 1]
    assert asked == [(died, 2)], "not the one that has just spoken"


def test_a_line_revived_by_a_renewal_has_its_sisters_asked_too() -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 120.0}, random.Random(1))
    world.until_renewed = {1}
    world.subscribe()
    world.run(3600)
    world.dead, world.renewed, world.pace[2] = {1}, [], 0.0
    world.run(40)
    assert [conid for _, conid in world.renewed] == [1, 2]
    assert world.died == []


def test_a_suspected_line_that_has_not_answered_is_unproven() -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 0.5}, random.Random(1))
    world.subscribe()
    world.run(600)
    world.dead, since = {1}, world.now
    world.run(120)
    moments = [moment for moment, conid in world.unproven]
    assert {conid for _, conid in world.unproven} == {1}
    assert moments[0] - since <= 30
    looks = len(range(int(moments[0]), int(world.now), int(world.patience.look)))
    assert len(moments) == looks, "at each look, until it has answered"
    world.dead, world.unproven = set(), []
    world.run(120)
    assert len(world.unproven) <= 15, "its next subscription may be two minutes away"
    world.unproven = []
    world.run(600)
    assert world.unproven == []


def test_the_dead_are_subscribed_anew_after_ever_longer_pauses() -> None:
    world = World({1: ALWAYS, 2: ALWAYS}, {1: 0.5, 2: 0.5}, random.Random(1))
    world.dead = {1}
    world.subscribe()
    world.run(2 * 3600)
    moments = [moment for moment, _ in world.died]
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 40
    assert 900 <= pauses[-1] <= 910


def test_when_one_dies_and_nobody_has_spoken_since_all_are_asked_and_then_it_is_the_feed() -> None:
    world = World({1: ALWAYS, 2: ALWAYS, 3: Hours()}, {1: 0.5, 2: 600.0, 3: 0.0}, random.Random(1))
    world.subscribe()
    world.run(900)
    world.dead, world.renewed = {1, 2, 3}, []
    since = world.now
    world.run(90)
    assert {conid for _, conid in world.renewed} == {1, 2, 3}
    assert 40 <= world.silent[0] - since <= 60


def test_each_silent_connection_gives_the_next_one_more_time() -> None:
    feed = LinePaces({1: LinePace(asked=NOW)})
    sights = {1: Sight(None, NOW - 3600)}

    def silent_after(before: int) -> float:
        found, now = feed, NOW
        while True:
            now += PATIENCE.look
            verdict = assess_staleness(found, sights, now, PATIENCE, silent_before=before)
            if verdict.silent:
                return now - NOW
            found = verdict.feed

    waits = [silent_after(before) for before in range(9)]
    assert waits == sorted(waits)
    assert waits[0] <= 45
    assert waits[3] >= 200
    assert waits[-1] <= 2 * PATIENCE.longest_answer + 2 * PATIENCE.look


def test_a_first_frame_before_the_first_look_is_an_answer() -> None:
    feed = assess_staleness(LinePaces(), {1: Sight(NOW - 1, NOW - 3600)}, NOW, PATIENCE).feed
    later = assess_staleness(feed, {1: Sight(NOW - 1, NOW - 3600)}, NOW + 100, PATIENCE)
    assert (later.renew, later.died) == ((), ())


def test_after_the_opening_there_is_time_for_a_first_quote() -> None:
    hours = Hours((Span(NOW - 3600, NOW + 1800), Span(NOW + 3600, NOW + 7200)))
    world = World({1: hours}, {1: 0.5}, random.Random(1))
    world.subscribe()
    world.run(3600)
    world.pace[1] = 0.0
    world.run(PATIENCE.opening + PATIENCE.shortest - PATIENCE.look)
    assert world.renewed == []
    world.run(3 * PATIENCE.look)
    assert [conid for _, conid in world.renewed] == [1]
    assert world.died == []
