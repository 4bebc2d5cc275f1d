"""Who may have an account, and when its holder must let go: no two workers may ever use one at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from ibfeed_api.lease import RENEW_S, SELF_FENCE_S, TAKEOVER_S
from ibfeed_api.reasons import Reason
from ibfeed_worker.account import lease as rules
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.lease import Action, Lease, Observed
from ibfeed_worker.account.leaseholder import acquire_lease
from ibfeed_worker.account.login_record import LoginRecord, after_failure, after_logout, before_login
from support.clock import run
from support.failsafe import Members
from support.lease_api import NAME, ApiServer, Unarmed


def lease(holder: str) -> Lease:
    return Lease(name=NAME, resource_version="7", holder=holder)


@pytest.mark.parametrize(
    ("holder", "seen_for", "action"),
    [
        ("", 0.0, Action.TAKE),
        ("me", 0.0, Action.RENEW),
        ("other", 0.0, Action.WAIT),
        ("other", 9.9, Action.WAIT),
        ("other", 10.0, Action.TAKE),
    ],
)
def test_decide(holder: str, seen_for: float, action: Action) -> None:
    assert rules.decide(lease(holder), Observed("7", 100.0), 100.0 + seen_for, "me") is action


def test_a_change_starts_the_waiting_anew() -> None:
    first = rules.observe(None, lease("other"), 5.0)
    assert rules.observe(first, lease("other"), 9.0) == first
    changed = Lease(name=NAME, resource_version="8", holder="other")
    assert rules.observe(first, changed, 9.0) == Observed("8", 9.0)


def test_the_holder_lets_go_before_anyone_may_take() -> None:
    assert SELF_FENCE_S < TAKEOVER_S
    # One request that times out must not cost the account.
    assert RENEW_S + 2 * 2.0 < SELF_FENCE_S


def test_taking_counts_transitions_and_keeps_a_lease_that_is_ours() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert rules.acquire_patch(lease(""), "me", now)["spec"]["leaseTransitions"] == 1
    assert "leaseTransitions" not in rules.acquire_patch(lease("me"), "me", now)["spec"]


def ignore(_: str) -> None:
    pass


def fence(on_shut: Callable[[], None] = lambda: None) -> Fence:
    return Fence(Unarmed(), on_shut)


def test_held_renewed_and_freed() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        before = api.objects[NAME]["metadata"]["resourceVersion"]
        await asyncio.sleep(30)
        assert not hold.lost.is_set()
        assert int(api.objects[NAME]["metadata"]["resourceVersion"]) - int(before) in (9, 10)
        await hold.release()
        assert api.holder == ""
        await asyncio.sleep(30)
        assert api.holder == "", "a freed account is not renewed any more"

    run(scene())


def test_a_second_worker_waits_until_the_first_frees_it() -> None:
    async def scene() -> None:
        api = ApiServer()
        told: list[str] = []
        first = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        second = asyncio.create_task(acquire_lease(api, NAME, "b", fence(), told.append, Members()))
        await asyncio.sleep(60)
        assert not second.done()
        assert told == ["account is held by a"]
        await first.release()
        begun = asyncio.get_running_loop().time()
        await (await second).release()
        assert asyncio.get_running_loop().time() - begun < 2

    run(scene())


@pytest.mark.parametrize("failure", ["down", "hangs"])
def test_cut_off_from_the_api_the_holder_stops_within_8_s_and_before_another_takes_it(failure: str) -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        await asyncio.sleep(7)
        setattr(api, failure, True)
        cut = loop.time()
        await hold.lost.wait()
        assert loop.time() - cut <= 8.0
        assert "could not be renewed" in hold.why_lost
        # Whoever looks, from that moment on, still has to see it unchanged for ten seconds.
        setattr(api, failure, False)
        lost = loop.time()
        other = await acquire_lease(api, NAME, "b", fence(), ignore, Members())
        assert loop.time() >= lost
        assert loop.time() - lost >= 9.9
        await other.release()

    run(scene())


def test_one_failed_renewal_costs_nothing() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        for _ in range(5):
            api.hangs = True
            await asyncio.sleep(4)
            api.hangs = False
            await asyncio.sleep(6)
        assert not hold.lost.is_set()
        await hold.release()

    run(scene())


def test_taken_by_someone_else_is_lost_at_once() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        stolen = rules.acquire_patch(rules.parse(api.objects[NAME]), "b", datetime.now(UTC))
        await api.patch_lease(NAME, stolen)
        begun = loop.time()
        await hold.lost.wait()
        assert loop.time() - begun <= RENEW_S + 0.1
        await hold.release()
        assert api.holder == "b", "what is somebody else's is not freed"

    run(scene())


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "given back"])
def test_the_fence_is_open_while_the_account_is_ours(lost: bool) -> None:
    async def scene() -> None:
        api = ApiServer()
        shut: list[bool] = []
        gate = fence(lambda: shut.append(hold.lost.is_set()))
        hold = await acquire_lease(api, NAME, "a", gate, ignore, Members())
        assert gate.is_open()
        if lost:
            api.down = True
            await hold.lost.wait()
            assert shut == [True]
            api.down = False
            await asyncio.sleep(10)
        else:
            await hold.release()
            assert shut == []
        assert not gate.is_open(), "an answer that comes late opens nothing"

    run(scene())


def test_a_deleted_lease_is_lost_and_a_missing_one_awaited() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        del api.objects[NAME]
        await hold.lost.wait()
        told: list[str] = []
        again = asyncio.create_task(acquire_lease(api, NAME, "a", fence(), told.append, Members()))
        await asyncio.sleep(20)
        assert told == [f"Lease {NAME} is not there yet; the operator creates it"]
        api.create(NAME)
        await (await again).release()

    run(scene())


def test_of_two_that_reach_for_it_together_one_gets_it() -> None:
    async def scene() -> None:
        api = ApiServer()
        takers = [asyncio.create_task(acquire_lease(api, NAME, name, fence(), ignore, Members())) for name in "abcd"]
        await asyncio.sleep(60)
        done = [taker for taker in takers if taker.done()]
        assert len(done) == 1
        for taker in takers:
            taker.cancel()
        await done[0].result().release()

    run(scene())


def test_a_note_goes_along_with_the_next_renewal() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        await hold.write(before_login(hold.record, now=datetime(2026, 11, 26, tzinfo=UTC)))
        written = api.objects[NAME]["metadata"]["annotations"]
        assert written["ibfeed.dev/session-open"] == "2026-11-26T00:00:00+00:00"
        hold.note(after_logout(hold.record))
        assert hold.record.session_open is None
        assert "ibfeed.dev/session-open" in written, "it needs no write of its own"
        api.down = True
        await asyncio.sleep(4)
        api.down = False
        await asyncio.sleep(4)
        assert "ibfeed.dev/session-open" not in api.objects[NAME]["metadata"]["annotations"]
        await hold.release()

    run(scene())


def test_a_note_goes_along_with_the_release() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        await hold.write(before_login(hold.record, now=datetime(2026, 11, 26, tzinfo=UTC)))
        hold.note(after_logout(hold.record))
        await hold.release()
        assert "ibfeed.dev/session-open" not in api.objects[NAME]["metadata"]["annotations"]
        assert api.holder == ""

    run(scene())


def test_the_login_record_is_written_through_conflicts_and_outages() -> None:
    async def scene() -> None:
        api = ApiServer()
        hold = await acquire_lease(api, NAME, "a", fence(), ignore, Members())
        # A person annotates the Lease meanwhile: our next write conflicts, and must keep theirs.
        foreign = rules.annotate(rules.parse(api.objects[NAME]), {"example.com/note": "hello"})
        await api.patch_lease(NAME, foreign)
        api.down = True
        record = after_failure(LoginRecord(), Reason.WRONG_CREDENTIALS, "no", now=datetime.now(UTC), most=3)
        writing = asyncio.create_task(hold.write(record))
        await asyncio.sleep(3)
        assert not writing.done()
        api.down = False
        await writing
        stored = api.objects[NAME]["metadata"]["annotations"]
        assert stored["ibfeed.dev/failed-logins"] == "1"
        assert stored["example.com/note"] == "hello"
        assert hold.record.failed == 1
        await hold.release()
        assert api.objects[NAME]["metadata"]["annotations"]["ibfeed.dev/failed-logins"] == "1"

    run(scene())
