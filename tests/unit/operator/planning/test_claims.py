"""No account is used by two workers, whichever namespaces they are in and whatever their sources are called."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ibfeed_api.logins import History
from ibfeed_operator.model.types import AccountLease
from ibfeed_operator.planning.accounts import Choice, Rules, choose
from ibfeed_operator.planning.claims import AccountClaim, Claims

NOW = datetime(2026, 11, 18, 15, tzinfo=UTC)
RANGE = range(1, 4)


def claim(
    worker: str, index: int = 1, *, vault: str = "", user: str = "", minutes: float = 0, denied: bool = False
) -> AccountClaim:
    namespace, _, name = worker.partition("/")
    since = NOW + timedelta(minutes=minutes) if user else None
    return AccountClaim(
        worker=f"{namespace}/{name}",
        lease=f"{namespace}/{lease_name(vault or 'paper', index)}",
        index=index,
        vault=vault,
        user=user,
        since=since,
        denied=denied,
    )


def lease_name(source: str, index: int) -> str:
    return f"ib-account-{source}-{index}"


def lease(index: int, source: str = "paper", **more: Any) -> AccountLease:
    return AccountLease(name=lease_name(source, index), source=source, index=index, **more)


def rules(*claims: AccountClaim, namespace: str = "b", vault: str = "", parked: dict[int, str] | None = None) -> Rules:
    return Rules(namespace=namespace, vault=vault, claims=Claims(all=claims, parked=parked), now=NOW)


@pytest.mark.parametrize(
    ("other", "conflict"),
    [
        (claim("a/x-0", vault="kv-v"), True),
        (claim("a/x-0", 2, vault="kv-v"), False),
        (claim("a/x-0", vault="kv-w"), False),
        (claim("a/x-0"), False),
        (claim("a/x-0", 7, user="u1"), True),
        (claim("a/x-0", 7, user="u2"), False),
    ],
)
def test_what_is_one_account(other: AccountClaim, conflict: bool) -> None:
    mine = claim("b/y-0", vault="kv-v", user="u1", minutes=5)
    assert mine.is_for_the_account_of(other) is conflict
    assert other.is_for_the_account_of(mine) is conflict
    assert (Claims(all=(mine, other)).before(mine) is other) is (conflict and other.seniority < mine.seniority)


def test_two_that_know_no_user_are_not_one_account() -> None:
    assert not claim("a/x-0").is_for_the_account_of(claim("b/y-0"))


def test_the_oldest_claim_stays() -> None:
    old, young = claim("b/y-0", user="u", minutes=0), claim("a/x-0", user="u", minutes=9)
    claims = Claims(all=(young, old))
    assert claims.before(young) is old
    assert claims.before(old) is None


def test_a_claim_that_was_denied_stays_behind() -> None:
    """It may have become the older one: the other's Lease was made again."""
    denied, other = claim("b/y-0", user="u", minutes=0, denied=True), claim("a/x-0", user="u", minutes=9)
    assert Claims(all=(denied, other)).before(denied) is other
    assert Claims(all=(denied,)).before(denied) is None, "until there is no other"


def test_of_a_vault_each_namespace_takes_what_the_others_leave() -> None:
    taken = (claim("a/x-0", 1, vault="kv-v"), claim("a/x-1", 2, vault="kv-v"))
    found = choose({"y-0": None, "y-1": None}, RANGE, [], (), rules(*taken, vault="kv-v"))
    assert found == {"y-0": Choice(index=3), "y-1": Choice(index=None)}


def test_what_another_namespace_has_parked_is_none_to_begin_with() -> None:
    found = choose({"y-0": None}, RANGE, [], (), rules(vault="kv-v", parked={1: "a"}))
    assert found == {"y-0": Choice(index=2)}


def test_a_user_that_turns_out_to_be_taken_gives_way_to_another() -> None:
    leases = [lease(1, user="u", user_since=NOW)]
    mine = claim("b/y-0", 1, user="u", minutes=5)
    found = choose({"y-0": 1}, RANGE, leases, (), rules(claim("a/x-0", user="u"), mine))
    assert found == {"y-0": Choice(index=2)}


def test_without_another_it_waits_and_is_told_for_whom() -> None:
    leases = [lease(1, user="u", user_since=NOW)]
    mine, other = claim("b/y-0", 1, user="u", minutes=5), claim("a/x-0", user="u")
    found = choose({"y-0": 1}, range(1, 2), leases, (), rules(other, mine))
    assert found == {"y-0": Choice(index=1, used_by="a/x-0")}
    again = choose({"y-0": 1}, range(1, 2), leases, (), rules(other, replace(mine, denied=True)))
    assert again == found
    freed = choose({"y-0": 1}, range(1, 2), leases, (), rules(replace(mine, denied=True)))
    assert freed == {"y-0": Choice(index=1)}, "the other one has gone"


def test_one_user_at_two_indices_of_a_secret_is_used_once() -> None:
    leases = [lease(index, user="u", user_since=NOW) for index in (1, 2)]
    claims = (claim("b/y-0", 1, user="u"), claim("b/y-1", 2, user="u", minutes=1))
    found = choose({"y-0": 1, "y-1": 2}, range(1, 3), leases, (), rules(*claims))
    assert found == {"y-0": Choice(index=1), "y-1": Choice(index=2, used_by="b/y-0")}


def test_a_vault_s_account_that_another_has_is_not_waited_for() -> None:
    mine, other = claim("b/y-0", 1, vault="kv-v"), claim("a/x-0", 1, vault="kv-v")
    assert choose({"y-0": 1}, range(1, 2), [], (), rules(other, mine, vault="kv-v")) == {"y-0": Choice(index=None)}


@pytest.mark.parametrize(("minutes", "index"), [(0.5, 1), (5, 2)])
def test_a_refused_account_is_left_for_a_better_one(minutes: float, index: int) -> None:
    """The second try comes within half a minute; for the third, five minutes later, no worker need wait."""
    refused = lease(1, failed=1, last_failure="Invalid", next_login=NOW + timedelta(minutes=minutes))
    found = choose({"y-0": 1}, RANGE, [refused], (), rules())
    assert found["y-0"].index == index
    assert choose({"y-0": 1}, range(1, 2), [refused], (), rules())["y-0"].index == 1


@pytest.mark.parametrize(("hours", "index"), [(2, 2), (-1, 1)])
def test_a_parked_account_is_one_again_when_it_is_due(hours: float, index: int) -> None:
    history = History(parked_since=NOW, try_again_at=NOW + timedelta(hours=hours))
    parked = lease(1, parked="WrongCredentials", failed=3, history=history)
    assert choose({"y-0": None}, RANGE, [parked], (), rules())["y-0"].index == index


# Whole worlds: several namespaces with Secrets of their own, whose users may be the same, and one vault.


@dataclass
class Feed:
    namespace: str
    source: str
    workers: int
    indices: range
    users: dict[int, str]
    has: dict[str, int | None] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)

    @property
    def vault(self) -> str:
        return self.source if self.source.startswith("kv-") else ""


class World:
    """Feeds, what their workers have told of their users, and in which order."""

    def __init__(self, feeds: list[Feed]) -> None:
        self.feeds = feeds
        self.told: dict[str, tuple[str, datetime]] = {}  # by Lease: user, since
        self.clock = NOW

    def claims(self) -> tuple[AccountClaim, ...]:
        found = []
        for feed in self.feeds:
            for name, index in feed.has.items():
                if index is not None:
                    where = f"{feed.namespace}/{lease_name(feed.source, index)}"
                    user, since = self.told.get(where, ("", None))
                    found.append(
                        AccountClaim(
                            worker=f"{feed.namespace}/{name}",
                            lease=where,
                            index=index,
                            vault=feed.vault,
                            user=user,
                            since=since,
                            denied=bool(feed.denied.get(name)),
                        )
                    )
        return tuple(found)

    def visit(self, feed: Feed) -> None:
        """A cycle of one feed, as the operator does it; feeds on one Secret see each other's choices."""
        leases = []
        for index in feed.indices:
            user, since = self.told.get(f"{feed.namespace}/{lease_name(feed.source, index)}", ("", None))
            leases.append(lease(index, feed.source, user=user, user_since=since))
        workers = {
            f"{feed.namespace}{number}": feed.has.get(f"{feed.namespace}{number}") for number in range(feed.workers)
        }
        found = choose(
            workers, feed.indices, leases, (), rules(*self.claims(), namespace=feed.namespace, vault=feed.vault)
        )
        feed.has = {name: choice.index for name, choice in found.items()}
        feed.denied = {name: choice.used_by for name, choice in found.items()}

    def tell(self, feed: Feed) -> None:
        """Workers read their credentials, and say whose they are before they log in."""
        for index in feed.has.values():
            if index is not None:
                where = f"{feed.namespace}/{lease_name(feed.source, index)}"
                if self.told.get(where, ("", None))[0] != feed.users[index]:
                    self.clock += timedelta(seconds=1)
                    self.told[where] = (feed.users[index], self.clock)

    def used(self) -> dict[str, list[str]]:
        """User to the workers that may log in with it."""
        found = defaultdict(list)
        for feed in self.feeds:
            for name, index in feed.has.items():
                if index is not None and not feed.denied[name]:
                    found[feed.users[index]].append(f"{feed.namespace}/{name}")
        return found


VAULT_USERS = {index: f"v{index}" for index in range(1, 6)}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    feeds = []
    for namespace in ("a", "b", "c"):
        of_vault = draw(st.booleans())
        users = VAULT_USERS if of_vault else {index: f"s{draw(st.integers(1, 5))}" for index in range(1, 6)}
        first = draw(st.integers(1, 3))
        indices = range(first, draw(st.integers(first, 5)) + 1)
        workers = draw(st.integers(1, len(indices)))
        feeds.append(Feed(namespace, "kv-v" if of_vault else "paper", workers, indices, users))
    return World(feeds)


@settings(max_examples=300, deadline=None)
@given(worlds(), st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=40))
def test_once_all_have_told_no_user_is_used_twice(world: World, steps: list[tuple[int, bool]]) -> None:
    """In whatever order cycles and workers come; and what is settled then stays as it is."""
    for number, tells in steps:
        (world.tell if tells else world.visit)(world.feeds[number])
    for _ in range(12):
        for feed in world.feeds:
            world.visit(feed)
            world.tell(feed)
    assert {user: workers for user, workers in world.used().items() if len(workers) > 1} == {}
    before = [(dict(feed.has), dict(feed.denied)) for feed in world.feeds]
    for feed in reversed(world.feeds):
        world.visit(feed)
        world.tell(feed)
    assert [(feed.has, feed.denied) for feed in world.feeds] == before
    # Nobody waits for a worker that does not log in with that user.
    used = {worker for workers in world.used().values() for worker in workers}
    assert {rival for feed in world.feeds for rival in feed.denied.values() if rival} <= used


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 2))
def test_who_has_a_session_keeps_it_when_others_come(world: World, first: int) -> None:
    world.feeds.insert(0, world.feeds.pop(first))
    for _ in range(8):
        world.visit(world.feeds[0])
        world.tell(world.feeds[0])
    before = (dict(world.feeds[0].has), dict(world.feeds[0].denied))
    for _ in range(8):
        for feed in reversed(world.feeds):
            world.visit(feed)
            world.tell(feed)
    assert (world.feeds[0].has, world.feeds[0].denied) == before
