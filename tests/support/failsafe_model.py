"""Failsafe, explored: whatever is lost, late, stopped or cut off, nobody takes the Lease of a holder that goes on.

Time runs in ticks. The holder fences itself after FENCE, others may take after TAKE ticks, and words are at most SPREAD
ticks apart: the proportions of 8 s, 10 s and 2 s. In each tick an adversary chooses whether the API server answers the
holder, which members hear it, which answers arrive and when, whether the holder stands still, and whether a member dies
(the last one, for members are alike). The rules themselves are the product's (``failsafe.py``), with its clock scaled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from ibfeed_api import failsafe
from ibfeed_api.failsafe import may_go_on, may_take
from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S

TICK_S: Final = 2.0
FENCE: Final = int(SELF_FENCE_S / TICK_S)
TAKE: Final = int(TAKEOVER_S / TICK_S)
SPREAD: Final = int(failsafe.SPREAD_S / TICK_S)
LATEST: Final = 2  # ticks that an answer to the holder may travel


@dataclass(frozen=True, slots=True)
class World:
    """``left``: ticks for which the fence is still open; 0: shut for good.

    ``said``: ticks since each member said away, at most TAKE. ``unchanged``: for how long the taker has seen the Lease
    unchanged. ``words``: members that vouched, with the ticks since. ``stopped``: the holder's process stands still.
    ``late``: members whose away is on its way to the holder. It asked them ``asked`` ticks ago. ``dead``: ticks since
    the last member died, at most TAKE; None: it lives.
    """

    left: int
    said: tuple[int, ...]
    unchanged: int = 0
    words: tuple[tuple[int, int], ...] = ()
    late: frozenset[int] = frozenset()
    asked: int = 0
    stopped: bool = False
    dead: int | None = None

    @property
    def living(self) -> frozenset[int]:
        return frozenset(range(len(self.said) - (self.dead is not None)))


@dataclass(frozen=True, slots=True)
class Rules:
    """The taker's rules. Other values than these are faults, which the exploration must find."""

    silence: int = TAKE  # ticks without away, for a word
    spread: int = SPREAD  # ticks that words are apart
    fewer: int = 0  # words that it does without
    ended: int = TAKE  # ticks after which a member that has died counts as vouching


def subsets(of: frozenset[int]) -> Iterator[frozenset[int]]:
    items = sorted(of)
    for size in range(len(items) + 1):
        yield from (frozenset(chosen) for chosen in combinations(items, size))


def names(members: range | frozenset[int]) -> frozenset[str]:
    return frozenset(str(member) for member in members)


def later(world: World, rules: Rules) -> World:
    """A tick passes. The holder's fence runs down whether or not it stands still: the kernel's timer sees to it."""
    travels = bool(world.late) and world.asked < LATEST
    return replace(
        world,
        late=world.late if travels else frozenset(),
        asked=world.asked + 1 if travels else 0,
        left=max(0, world.left - 1),
        said=tuple(min(TAKE, ticks + 1) for ticks in world.said),
        unchanged=min(TAKE, world.unchanged + 1),
        words=tuple((member, age + 1) for member, age in world.words if age < rules.spread),
        dead=None if world.dead is None else min(TAKE, world.dead + 1),
    )


def holder_acts(world: World, members: range) -> Iterator[World]:
    """Renew, or ask the members, or stand still. A shut fence stays shut."""
    yield replace(world, stopped=not world.stopped)
    if world.stopped or world.left == 0:
        return
    yield replace(world, left=FENCE, unchanged=0, late=frozenset(), asked=0)
    if may_go_on([names(members)], names(world.late)):
        yield replace(world, left=max(world.left, FENCE - world.asked), late=frozenset(), asked=0)
    for heard in subsets(world.living):
        said = tuple(0 if member in heard else ticks for member, ticks in enumerate(world.said))
        yield replace(world, said=said, late=heard, asked=0)  # a round; as many of its answers arrive as the next needs


def taker_asks(world: World, members: range, own: int | None, rules: Rules) -> Iterator[World]:
    """Any members answer the taker. It asks when the Lease has been unchanged for long enough."""
    if world.unchanged < TAKE:
        return
    able = frozenset(member for member in world.living if world.said[member] >= rules.silence)
    if world.dead is not None and world.dead >= rules.ended:
        able |= {members[-1]}
    for answered in subsets(able):
        fresh = answered | (able & {own} if own is not None else frozenset())
        kept = tuple((member, age) for member, age in world.words if member not in fresh)
        yield replace(world, words=tuple(sorted((*kept, *((member, 0) for member in fresh)))))


def takes(world: World, members: range, rules: Rules) -> bool:
    vouching = [*names(frozenset(member for member, _ in world.words))]
    given = [*(name for name in sorted(names(members)) if name not in vouching)][: rules.fewer]
    return may_take(names(members), [*vouching, *given], world.unchanged * TICK_S)


def explore(count: int, own: int | None = None, rules: Rules = Rules()) -> tuple[int, set[World]]:
    """Return the number of states, and those in which the taker takes the Lease of a holder whose fence is open.

    With other rules than the product's the first of those is enough.
    """
    members = range(count)
    first = World(left=FENCE, said=(TAKE,) * count)
    seen, waiting, wrong = {first}, [first], set()
    while waiting:
        world = waiting.pop()
        if takes(world, members, rules):
            if world.left:
                wrong.add(world)
                if rules != Rules():
                    break
            continue
        following = {world, *holder_acts(world, members)}
        if world.dead is None and members[-1] != own:
            following.add(replace(world, dead=0))
        following |= {asked for one in list(following) for asked in taker_asks(one, members, own, rules)}
        new = {after for one in following for after in (one, later(one, rules))} - seen
        seen |= new
        waiting += new
    return len(seen), wrong


CASES: Final = tuple((count, own) for count in (1, 2, 3) for own in (0, None))
