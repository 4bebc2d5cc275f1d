"""Of several operators one acts, whatever happens to the Lease, the processes and the connection between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_operator.kube import leader_lease
from ibfeed_operator.kube.leader_lease import LOST_AFTER_S, TAKE_AFTER_S, Candidate, Lease, Move, next_move, wrote

ME, OTHER = "a_1", "b_2"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def lease(holder: str | None = None, stamp: str = "s1", version: str = "1", **more: Any) -> Lease:
    spec: dict[str, Any] = {"leaseDurationSeconds": 10, "renewTime": stamp, **more}
    return Lease("u", version, spec if holder is None else spec | {"holderIdentity": holder})


RELEASED = lease("", leaseDurationSeconds=1)
WAITING = Candidate(me=ME)
LEADING = Candidate(me=ME, looked=True, seen=lease(ME), renewed=0.0)

MISSING, BARE = None, Lease("u", "1")


@pytest.mark.parametrize(
    ("candidate", "seen", "age", "move"),
    [
        # Nobody has ever led, or somebody deleted or cleared the Lease under who leads: never at once.
        (WAITING, MISSING, 0, Move.CREATE),
        (WAITING, BARE, 0, Move.WAIT),
        (WAITING, BARE, 9.9, Move.WAIT),
        (WAITING, BARE, 10, Move.TAKE),
        (WAITING, lease(""), 9.9, Move.WAIT),
        (WAITING, lease(""), 10, Move.TAKE),
        # Only an orderly release is.
        (WAITING, RELEASED, 0, Move.TAKE),
        (WAITING, lease(OTHER, leaseDurationSeconds=1), 0, Move.WAIT),
        # A holder, whoever it is and whatever it says of itself.
        (WAITING, lease(OTHER), 9.9, Move.WAIT),
        (WAITING, lease(OTHER), 10, Move.TAKE),
        (WAITING, lease("kubectl", leaseDurationSeconds=3600, leaseTransitions=7), 10, Move.TAKE),
        (WAITING, lease(OTHER, stamp="2099-01-01T00:00:00.000000Z"), 10, Move.TAKE),
        (WAITING, lease(OTHER, stamp="1999-01-01T00:00:00.000000Z"), 9.9, Move.WAIT),
        # Our pod's name: at the first look of a process its predecessor's, later somebody's doing.
        (WAITING, lease(ME), 0, Move.TAKE),
        (replace(WAITING, looked=True), lease(ME), 0, Move.WAIT),
        (replace(WAITING, looked=True), lease(ME), 10, Move.TAKE),
        # Who leads goes on only while it is all in order.
        (LEADING, lease(ME), 2, Move.RENEW),
        (LEADING, lease(ME, stamp="another's"), 7.9, Move.RENEW),
        (LEADING, lease(ME), 8, Move.RENEW),  # it acted no more: the API server was away for all, and nobody else leads
        (LEADING, lease(ME), 3600, Move.RENEW),
        (LEADING, lease(OTHER), 8, Move.END),
        (LEADING, lease(OTHER), 1, Move.END),
        (LEADING, lease(""), 1, Move.END),
        (LEADING, RELEASED, 1, Move.END),
        (LEADING, BARE, 1, Move.END),
        (LEADING, MISSING, 1, Move.END),
    ],
)
def test_what_may_be_done(candidate: Candidate, seen: Lease | None, age: float, move: Move) -> None:
    """``age``: how long the Lease has been seen like this, or since a leader's last renewal."""
    if age and candidate.renewed is None:
        before, _ = next_move(replace(candidate, looked=True), seen, 0.0)
        candidate = replace(before, looked=candidate.looked or bool(age))
    assert next_move(candidate, seen, float(age))[1] is move


def test_an_annotation_is_no_renewal() -> None:
    candidate, _ = next_move(WAITING, lease(OTHER, version="1"), 0.0)
    for second in range(1, 10):
        candidate, move = next_move(candidate, lease(OTHER, version=str(second)), float(second))
        assert move is Move.WAIT
    assert next_move(candidate, lease(OTHER, version="99"), 10.0)[1] is Move.TAKE


def test_a_lease_that_was_made_anew_is_not_the_old_one() -> None:
    candidate, _ = next_move(WAITING, BARE, 0.0)
    assert next_move(candidate, replace(BARE, uid="another"), 60.0)[1] is Move.WAIT


def test_each_renewal_starts_the_wait_anew() -> None:
    candidate = WAITING
    for count in range(20):
        candidate, move = next_move(candidate, lease(OTHER, stamp=f"s{count}"), count * 9.0)
        assert move is Move.WAIT


def test_it_acts_from_the_sending_of_a_renewal_for_less_than_another_waits() -> None:
    leading = wrote(LEADING, lease(ME, stamp="s2"), sent=100.0)
    assert leading.acts(100.0 + LOST_AFTER_S - 0.01)
    assert not leading.acts(100.0 + LOST_AFTER_S)
    assert LOST_AFTER_S < TAKE_AFTER_S
    assert not WAITING.acts(0.0)


def test_after_the_api_server_was_away_the_holder_has_the_whole_time_again() -> None:
    seen = lease(OTHER, stamp="s1")
    waiting, _ = next_move(WAITING, seen, 100.0)
    blind = leader_lease.blinded(waiting)
    back, move = next_move(blind, seen, 160.0)
    assert move is Move.WAIT
    assert next_move(back, seen, 160.0 + TAKE_AFTER_S - 0.1)[1] is Move.WAIT
    assert next_move(back, seen, 160.0 + TAKE_AFTER_S)[1] is Move.TAKE
    assert next_move(blind, RELEASED, 160.0)[1] is Move.TAKE


def test_writes_are_guarded_and_a_release_is_marked() -> None:
    seen = lease(OTHER, version="41", leaseTransitions=3)
    taken = leader_lease.taken(seen, ME, NOW)
    assert taken["metadata"] == {"resourceVersion": "41"}
    assert (taken["spec"]["holderIdentity"], taken["spec"]["leaseTransitions"]) == (ME, 4)
    assert leader_lease.taken(lease(ME, leaseTransitions=3), ME, NOW)["spec"]["leaseTransitions"] == 3
    assert leader_lease.taken(Lease("u", "1"), ME, NOW)["spec"]["leaseTransitions"] == 1
    assert leader_lease.renewed(seen, NOW)["metadata"] == {"resourceVersion": "41"}
    released = leader_lease.released(seen, NOW)
    assert released["metadata"] == {"resourceVersion": "41"}
    assert Lease("u", "42", {**seen.spec, **released["spec"]}).released
    assert not Lease("u", "43", {**seen.spec, **released["spec"], **leader_lease.renewed(seen, NOW)["spec"]}).released
    assert not Lease("u", "1", leader_lease.unheld()).released


class _World:
    """The Lease at an API server, and three operators that look at it every half second, as ``election.py`` does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.version = 0
        self.lease: Lease | None = None
        self.candidates = [Candidate(me=name) for name in "abc"]
        self.paused = [0.0, 0.0, 0.0]  # until when
        self.cut = [0.0, 0.0, 0.0]

    def write(self, body: dict[str, Any]) -> Lease | None:
        """None: a conflict."""
        if self.lease is None or body["metadata"]["resourceVersion"] != self.lease.resource_version:
            return None
        return self.put({**self.lease.spec, **body["spec"]})

    def put(self, spec: dict[str, Any]) -> Lease:
        self.version += 1
        uid = self.lease.uid if self.lease is not None else f"u{self.version}"
        self.lease = Lease(uid, str(self.version), spec)
        return self.lease

    def turn(self, index: int, *, answer_lost: bool) -> None:
        candidate = self.candidates[index]
        if self.paused[index] > self.now:
            return
        if self.cut[index] <= self.now:
            candidate, move = next_move(candidate, self.lease, self.now)
            if move is Move.END:
                candidate = Candidate(me=candidate.me)
            elif move is Move.CREATE:
                self.put(leader_lease.unheld())
            elif self.lease is not None and move in (Move.TAKE, Move.RENEW):
                stamp = datetime.fromtimestamp(self.now, UTC)
                taking = move is Move.TAKE
                body = (
                    leader_lease.taken(self.lease, candidate.me, stamp)
                    if taking
                    else leader_lease.renewed(self.lease, stamp)
                )
                answer = self.write(body)
                if answer is not None and not answer_lost:
                    candidate = wrote(candidate, answer, self.now)
        else:
            candidate = leader_lease.blinded(candidate)
        self.candidates[index] = candidate

    def release(self, index: int) -> None:
        candidate = self.candidates[index]
        if candidate.acts(self.now) and self.paused[index] <= self.now:
            self.candidates[index] = Candidate(me=candidate.me)
            if self.lease is not None and self.lease.holder == candidate.me:
                self.write(leader_lease.released(self.lease, datetime.fromtimestamp(self.now, UTC)))

    def acting(self) -> list[str]:
        return [candidate.me for candidate in self.candidates if candidate.acts(self.now)]


EVENTS = st.one_of(
    st.tuples(st.sampled_from(["delete", "clear", "annotate", "scribble", "lost answer"]), st.integers(0, 2)),
    st.tuples(st.sampled_from(["kill", "release", "pause", "cut"]), st.integers(0, 2)),
)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 30), EVENTS), max_size=25))
def test_never_two_act_and_never_all_wait(story: list[tuple[int, tuple[str, int]]]) -> None:
    world = _World()
    lost: set[int] = set()

    def run(turns: int) -> None:
        for _ in range(turns):
            for index in range(3):
                world.turn(index, answer_lost=index in lost)
                assert len(world.acting()) <= 1, world.acting()
            lost.clear()
            world.now += 0.5

    for turns, (event, index) in story:
        run(turns)
        lease = world.lease
        if event == "delete":
            world.lease = None
        elif event == "clear" and lease is not None:
            world.put({**lease.spec, "holderIdentity": ""})
        elif event == "annotate" and lease is not None:
            world.put(dict(lease.spec))
        elif event == "scribble" and lease is not None:
            world.put({**lease.spec, "holderIdentity": "somebody", "leaseTransitions": 1})
        elif event == "lost answer":
            lost.add(index)
        elif event == "kill":
            world.candidates[index] = Candidate(me=world.candidates[index].me)
        elif event == "release":
            world.release(index)
        elif event == "pause":
            world.paused[index] = world.now + 20
        elif event == "cut":
            world.cut[index] = world.now + 15
        assert len(world.acting()) <= 1
    world.paused = world.cut = [0.0, 0.0, 0.0]
    run(2 * 25)
    assert len(world.acting()) == 1
