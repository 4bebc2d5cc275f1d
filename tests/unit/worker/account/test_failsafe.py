"""A holder that can't renew its Lease, and the members that it asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from ibfeed_api.calls import CallRefusedError, Signer
from ibfeed_api.failsafe import LONGEST_S, Member, Outcome, Renewal, Word, format_members, may_take
from ibfeed_api.failsafe_calls import Kind, Question, ask, read_answer
from ibfeed_api.labels import ANNOTATION_FENCED, ANNOTATION_MEMBERS
from ibfeed_api.lease import SELF_FENCE_S, TAKEOVER_S
from ibfeed_api.shard import Account, ShardSpec
from ibfeed_worker.account import lease as rules
from ibfeed_worker.account.failsafe import Failsafe
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.kube.client import ForbiddenError, KubeError
from support.clock import run
from support.failsafe import Members, members
from support.lease_api import NAME, ApiServer
from unit.worker.account.test_lease import fence, ignore

AWAY = Outcome.AWAY


async def hold(api: ApiServer, failsafe: Members, me: str = "a") -> Leaseholder:
    return await acquire_lease(api, NAME, me, fence(), ignore, failsafe)


def noted(api: ApiServer) -> dict[str, str]:
    found: dict[str, str] = api.objects[NAME]["metadata"]["annotations"]
    return found


@pytest.mark.parametrize("fault", ["down", "hangs"])
@pytest.mark.parametrize("names", ["p", "pq", "pqrst"])
def test_while_nobody_reaches_the_api_server_a_holder_goes_on(names: str, fault: str) -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members(*names, answer=AWAY))
        setattr(api, fault, True)
        await asyncio.sleep(600)
        assert not holder.lost.is_set()
        setattr(api, fault, False)
        before = api.objects[NAME]["metadata"]["resourceVersion"]
        await asyncio.sleep(6)
        assert api.objects[NAME]["metadata"]["resourceVersion"] != before
        await holder.release()
        assert ANNOTATION_MEMBERS not in noted(api), "a free Lease names nobody"

    run(scene())


@pytest.mark.parametrize(
    ("names", "silent", "goes_on"), [("pq", 1, False), ("pqr", 1, True), ("pqr", 2, False), ("pqrst", 2, False)]
)
def test_members_that_do_not_answer(names: str, silent: int, goes_on: bool) -> None:
    async def scene() -> None:
        api, found = ApiServer(), Members(*names, answer=AWAY)
        holder = await hold(api, found)
        for name in names[:silent]:
            del found.answers[name]
        api.down = True
        await asyncio.sleep(SELF_FENCE_S + 0.1)
        assert holder.lost.is_set() is not goes_on
        api.down = False
        await holder.release()

    run(scene())


@pytest.mark.parametrize("other", [Outcome.UNABLE, None])
def test_one_that_is_refused_or_silent_alone_stops_in_time(other: Outcome | None) -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members("p", answer=other))
        api.down = True
        await asyncio.sleep(SELF_FENCE_S + 0.1)
        assert holder.lost.is_set()
        assert "could not be renewed for 8 s" in holder.why_lost

    run(scene())


def test_a_member_that_reaches_the_api_server_renews_for_the_holder() -> None:
    async def scene() -> None:
        api, found = ApiServer(), Members("p", "q", answer=AWAY)
        holder = await hold(api, found)
        found.answers["q"] = Renewal(Outcome.RENEWED, resource_version="77")
        api.down = True
        await asyncio.sleep(60)
        assert not holder.lost.is_set()
        api.down = False
        await asyncio.sleep(5)
        assert not holder.lost.is_set(), "its version is another's, so it looks"
        await holder.release()

    run(scene())


def test_a_lease_that_a_member_knows_to_be_lost_is_lost_at_once() -> None:
    async def scene() -> None:
        api, found = ApiServer(), Members("p", "q", "r", answer=AWAY)
        holder = await hold(api, found)
        found.answers["q"] = Renewal(Outcome.LOST, "Lease x is b's")
        api.down = True
        await asyncio.sleep(5)
        assert holder.lost.is_set()
        assert holder.why_lost == "Lease x is b's"

    run(scene())


def test_nobody_goes_on_for_ever_without_a_renewal() -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members("p", answer=AWAY))
        api.down = True
        await asyncio.sleep(LONGEST_S - 1)
        assert not holder.lost.is_set()
        await asyncio.sleep(SELF_FENCE_S + 5)
        assert holder.lost.is_set()
        assert not may_take(["p"], [], LONGEST_S + SELF_FENCE_S)

    run(scene())


def test_other_members_are_named_with_the_next_renewal() -> None:
    async def scene() -> None:
        api, found = ApiServer(), Members("p", answer=AWAY)
        holder = await hold(api, found)
        assert noted(api)[ANNOTATION_MEMBERS] == format_members(members("p"))
        found.members = members("p", "q")
        await asyncio.sleep(4)
        assert noted(api)[ANNOTATION_MEMBERS] == format_members(members("p", "q"))
        await holder.release()

    run(scene())


def test_members_that_a_renewal_may_have_named_are_asked_too() -> None:
    """The answer to the renewal that names them was lost: a taker may have read the one set or the other."""

    async def scene() -> None:
        api, found = ApiServer(), Members("p", answer=AWAY)
        holder = await hold(api, found)
        api.down = True
        found.members = members("q")
        await asyncio.sleep(3.2)
        found.members = members("r")
        await asyncio.sleep(SELF_FENCE_S - 3.1)
        assert found.asked[-1] == {"p", "q", "r"}
        assert holder.lost.is_set(), "q and r have not answered"

    run(scene())


def test_a_worker_leaves_a_lease_with_members_to_the_operator() -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members("p", answer=AWAY))
        taker = asyncio.create_task(hold(api, Members(), "b"))
        holder._keeping.cancel()
        await asyncio.sleep(30)
        assert not taker.done()
        seen = rules.parse(api.objects[NAME])
        await api.patch_lease(NAME, rules.annotate(seen, {ANNOTATION_FENCED: "a"}))
        taken = await taker
        assert api.holder == "b"
        assert not {ANNOTATION_FENCED, ANNOTATION_MEMBERS} & noted(api).keys()
        await taken.release()

    run(scene())


def test_a_holder_that_was_given_up_does_not_go_on() -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members("p", answer=AWAY))
        seen = rules.parse(api.objects[NAME])
        await api.patch_lease(NAME, rules.annotate(seen, {ANNOTATION_FENCED: "a"}))
        await asyncio.sleep(4)
        assert "the operator gave it up" in holder.why_lost

    run(scene())


def test_after_an_outage_the_holder_has_the_whole_time_again() -> None:
    async def scene() -> None:
        api = ApiServer()
        holder = await hold(api, Members())
        taker = asyncio.create_task(hold(api, Members(), "b"))
        await asyncio.sleep(2)
        holder._keeping.cancel()
        await asyncio.sleep(5)
        api.down = True
        await asyncio.sleep(60)
        api.down = False
        await asyncio.sleep(TAKEOVER_S - 1)
        assert not taker.done()
        await asyncio.sleep(8)
        await (await taker).release()

    run(scene())


# The member.

OPERATOR = Signer()


@dataclass
class Scene:
    """Two workers, a and b, each a member of the other, at one API server."""

    api: ApiServer
    a: Failsafe
    b: Failsafe
    specs: dict[str, ShardSpec | None]
    fence_is_open: bool = True

    @staticmethod
    def of(api: ApiServer) -> Scene:
        scene: Scene
        specs: dict[str, ShardSpec | None] = {"a": None, "b": None}

        def failsafe(me: str) -> Failsafe:
            return Failsafe(
                api,
                me=me,
                namespace="default",
                spec=lambda: specs[me],
                fence_is_open=lambda: scene.fence_is_open,
            )

        scene = Scene(api, failsafe("a"), failsafe("b"), specs)
        for me, other, key in (("a", "b", scene.b.key), ("b", "a", scene.a.key)):
            specs[me] = ShardSpec(
                feed="energy",
                worker=0,
                account=Account(source="paper", index=1, lease=NAME),
                operator_key=OPERATOR.public_key,
                members=(Member(namespace="default", name=other, address=f"{other}.test:80", key=key),),
            )
        return scene

    async def renew(self, version: str | None = None) -> Renewal:
        """What b answers to a."""
        held = version or self.api.objects[NAME]["metadata"]["resourceVersion"]
        question = Question(Kind.RENEW, "a", "default", NAME, "a", held)
        member = self.a.calls.members[0]
        body = await self.b.member.answer(ask(self.a.calls._signer, member, question))
        return read_answer(body, member, question, Renewal)

    async def word(self, of: str, holder: str = "a") -> Word:
        """What a worker answers to an operator that it has not heard of."""
        failsafe = {"a": self.a, "b": self.b}[of]
        question = Question(Kind.VOUCH, "operator_x", "default", NAME, holder)
        member = Member(namespace="default", name=of, address="", key=failsafe.key)
        body = await failsafe.member.answer(ask(OPERATOR, member, question))
        return read_answer(body, member, question, Word)


def test_a_member_renews_what_is_the_askers() -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())
        holder = await hold(world.api, Members())
        holder._keeping.cancel()
        renewed = await world.renew()
        assert renewed.outcome is Outcome.RENEWED
        assert renewed.resource_version == world.api.objects[NAME]["metadata"]["resourceVersion"]
        assert (await world.renew("1")).outcome is Outcome.RENEWED, "its version was old: the member looks"
        await world.api.patch_lease(
            NAME, rules.annotate(rules.parse(world.api.objects[NAME]), {ANNOTATION_FENCED: "a"})
        )
        assert (await world.renew("1")).outcome is Outcome.LOST
        taken = rules.acquire_patch(rules.parse(world.api.objects[NAME]), "c", datetime.now(UTC))
        await world.api.patch_lease(NAME, taken)
        lost = await world.renew("1")
        assert (lost.outcome, lost.text) == (Outcome.LOST, f"Lease {NAME} is not a's any more")
        del world.api.objects[NAME]
        assert (await world.renew("1")).text == f"Lease {NAME} was deleted"

    run(scene())


@pytest.mark.parametrize("fault", ["down", "hangs"])
def test_a_member_that_said_away_vouches_only_later(fault: str) -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())
        await asyncio.sleep(TAKEOVER_S)
        assert (await world.word("b")).vouches
        setattr(world.api, fault, True)
        begun = asyncio.get_running_loop().time()
        assert (await world.renew("1")).outcome is Outcome.AWAY
        assert asyncio.get_running_loop().time() - begun <= 1.0
        assert not (await world.word("b")).vouches
        await asyncio.sleep(TAKEOVER_S - 0.1)
        assert not (await world.word("b")).vouches
        await asyncio.sleep(0.2)
        assert (await world.word("b")).vouches

    run(scene())


def test_a_member_whose_calls_are_refused_says_neither() -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())

        async def refuse(*_: Any) -> dict[str, Any]:
            raise ForbiddenError("may not")

        world.api.patch_lease = refuse  # type: ignore[assignment]
        assert await world.renew("1") == Renewal(Outcome.UNABLE, "may not")

    run(scene())


def test_a_holder_that_is_asked_says_whether_it_holds() -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())
        assert await world.word("a") == Word(vouches=False, holds=True)
        world.fence_is_open = False
        assert await world.word("a") == Word(vouches=False, holds=False)

    run(scene())


def test_a_stranger_is_not_answered() -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())
        question = Question(Kind.RENEW, "c", "default", NAME, "c", "1")
        member = Member(namespace="default", name="b", address="", key=world.b.key)
        with pytest.raises(CallRefusedError, match="InvalidSignature"):
            await world.b.member.answer(ask(Signer(), member, question))
        world.specs["b"] = None
        with pytest.raises(CallRefusedError, match="c is not known here"):
            await world.b.member.answer(ask(Signer(), member, question))

    run(scene())


def test_a_question_that_is_sent_again_renews_nothing() -> None:
    async def scene() -> None:
        world = Scene.of(ApiServer())
        holder = await hold(world.api, Members())
        holder._keeping.cancel()
        question = Question(Kind.RENEW, "a", "default", NAME, "a", "1")
        body = ask(world.a.calls._signer, world.a.calls.members[0], question)
        await world.b.member.answer(body)
        version = world.api.objects[NAME]["metadata"]["resourceVersion"]
        with pytest.raises(CallRefusedError, match="asked before"):
            await world.b.member.answer(body)
        assert world.api.objects[NAME]["metadata"]["resourceVersion"] == version
        assert (await world.renew()).outcome is Outcome.RENEWED

    run(scene())


def test_members_that_cannot_be_reached_do_not_answer() -> None:
    """Real sockets: a closed port."""

    async def scene() -> None:
        world = Scene.of(ApiServer())
        seen = rules.parse(world.api.objects[NAME])
        nowhere = Member(namespace="default", name="b", address="127.0.0.1:1", key=world.b.key)
        odd = Member(namespace="default", name="c", address="not an address", key=world.b.key)
        assert await world.a.calls.ask(seen, [nowhere, odd]) == {}

    asyncio.run(scene())


def test_an_api_server_with_errors_is_away() -> None:
    """The store behind it is away: the API server answers each write with an error."""

    async def scene() -> None:
        world = Scene.of(ApiServer())

        async def fail(*_: Any) -> dict[str, Any]:
            raise KubeError("etcdserver: request timed out")

        world.api.patch_lease = fail  # type: ignore[assignment]
        assert await world.renew("1") == Renewal(Outcome.AWAY, "etcdserver: request timed out")

    run(scene())
