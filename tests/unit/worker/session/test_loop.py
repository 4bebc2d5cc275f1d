"""The conversation with a gateway, step by step, with IB's answers as a script and hours in milliseconds."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ibfeed_api.feed import Accounts
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Session
from ibfeed_worker.errors import AccountParkedError, SessionError
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.loop import SessionLoop
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.status import SessionStatus
from ibfeed_worker.stream import End, StreamEnd
from support.clock import run


class Ib:
    """IB behind a gateway: a session that a login opens, with the settling time of the real one."""

    def __init__(self) -> None:
        self.logged_in_at: float | None = None
        self.brokerage = True
        self.competing = False
        self.left_over = False  # a session that ended without a logout, until the gateway's own init has taken it
        self.denied = False  # /tickle alone knows no session
        self.paper: bool | None = True
        self.fights = False  # somebody who takes the session back
        self.failing: int | None = None
        self.html = self.slow = False
        self.calls: list[tuple[float, str, str]] = []
        self.bodies: list[Any] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        now, path = asyncio.get_running_loop().time(), request.url.path.removeprefix("/v1/api")
        self.calls.append((now, request.method, path))
        self.bodies.append(json.loads(request.content or b"null"))
        if request.method == "POST":
            assert "content-length" in request.headers
        if self.failing:
            return httpx.Response(self.failing)
        if self.html:
            return httpx.Response(200, html="<html><title>Access Denied</title></html>")
        if self.slow:
            raise httpx.ReadTimeout("")
        if self.logged_in_at is None:
            return httpx.Response(401)
        settled = now - self.logged_in_at > 3.5
        competing = self.competing or (self.left_over and not settled)
        status = {
            "authenticated": settled and self.brokerage and not competing,
            "connected": settled or competing,
            "competing": competing,
        }
        if self.denied and path == "/tickle":
            return httpx.Response(401)
        match path:
            case "/tickle":
                return httpx.Response(200, json={"session": "s-1", "iserver": {"authStatus": status}})
            case "/iserver/auth/status":
                return httpx.Response(200, json=status)
            case "/iserver/auth/ssodh/init":
                self.brokerage = True
                self.competing = self.fights
                taken = not self.fights
                return httpx.Response(200, json={"authenticated": taken, "connected": True, "competing": not taken})
            case "/sso/validate":
                return httpx.Response(200, json={"RESULT": True, "IP": "203.0.113.7"})
            case "/iserver/accounts":
                paper = {} if self.paper is None else {"isPaper": self.paper}
                return httpx.Response(200, json={"accounts": ["DU1"], **paper})
        return httpx.Response(404)

    def count(self, path: str) -> int:
        return sum(called == path for _, _, called in self.calls)


class Scene:
    def __init__(self, **accounts: Any) -> None:
        self.ib = Ib()
        self.conditions = SessionStatus(Metrics(), lambda: None)
        self.logins = 0
        self.left_open = False
        self.data_age_s = float("inf")
        self.streams: list[tuple[float, str]] = []
        self.stream_life = 1e9
        self.stream_ends: list[StreamEnd] = []
        tls = PinnedTls(ssl.create_default_context(), "")
        transport = httpx.MockTransport(self.ib.answer)
        self.budget = Budget()
        rest = SessionClient("https://127.0.0.1:5000", tls, self.budget, Metrics(), transport, self.punish)
        self.addresses: list[str] = []
        self.penalties = 0
        self.conversation = SessionLoop(
            rest,
            self.conditions,
            Accounts(**accounts),
            log_in=self.log_in,
            stream=self.stream,
            on_address=self.addresses.append,
            data_age_s=lambda: self.data_age_s,
        )

    def punish(self) -> None:
        self.penalties += 1

    async def log_in(self) -> bool:
        self.logins += 1
        await asyncio.sleep(3)
        self.ib.logged_in_at = asyncio.get_running_loop().time()
        self.ib.brokerage = True
        return self.left_open

    async def stream(self, session: str) -> StreamEnd:
        self.streams.append((asyncio.get_running_loop().time(), session))
        self.conditions.set(Session.STREAMING)
        await asyncio.sleep(self.stream_life)
        return self.stream_ends.pop(0) if self.stream_ends else StreamEnd(End.CLOSED, "closed")


def play(scene: Callable[[], Any]) -> Any:
    return run(scene())


def test_login_settle_check_stream_and_a_tickle_each_minute() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(10)
        assert scene.logins == 1
        assert [session for _, session in scene.streams] == ["s-1"]
        assert scene.ib.count("/iserver/accounts") == 1
        assert scene.ib.count("/iserver/auth/ssodh/init") == 0, "the gateway opens the session by itself"
        before = scene.ib.count("/tickle")
        await asyncio.sleep(3600)
        assert scene.ib.count("/tickle") - before == 60
        assert len(scene.streams) == 1
        talk.cancel()

    play(act)


def test_when_the_websocket_says_so_the_session_is_repaired_within_seconds() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(60)
        scene.ib.brokerage = False
        scene.conversation.nudge()
        lost = asyncio.get_running_loop().time()
        await asyncio.sleep(6)
        repaired = [moment for moment, _, path in scene.ib.calls if path == "/iserver/auth/ssodh/init"]
        assert repaired and repaired[0] - lost < 3
        assert scene.ib.bodies[[path for _, _, path in scene.ib.calls].index("/iserver/auth/ssodh/init")] == {
            "publish": True,
            "compete": False,
        }
        assert len(scene.streams) == 2, "subscriptions died with the session: the stream starts anew"
        assert scene.logins == 1
        talk.cancel()

    play(act)


def test_a_lost_login_ends_the_conversation() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(100)
        scene.ib.logged_in_at = None
        scene.conversation.nudge()
        with pytest.raises(SessionError) as caught:
            await talk
        assert caught.value.reason is Reason.SESSION_LOST
        assert scene.logins == 1, "the next browser comes after the back-off outside"

    play(act)


@pytest.mark.parametrize("paper", [False, None])
def test_what_is_not_paper_is_refused_before_anything_is_streamed(paper: bool | None) -> None:
    async def act() -> None:
        scene = Scene()
        scene.ib.paper = paper
        with pytest.raises(AccountParkedError) as caught:
            await scene.conversation.run()
        assert caught.value.reason is Reason.NOT_PAPER
        assert scene.streams == []

    play(act)


def test_live_is_streamed_only_when_it_is_allowed() -> None:
    async def act() -> None:
        scene = Scene(allow_live=True)
        scene.ib.paper = False
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(20)
        assert len(scene.streams) == 1
        talk.cancel()

    play(act)


def test_a_session_taken_by_somebody_is_left_to_them_or_taken_back_as_the_spec_says() -> None:
    async def leave() -> None:
        scene = Scene(compete_backoff_seconds=600)
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(60)
        scene.ib.competing = True
        scene.conversation.nudge()
        with pytest.raises(SessionError) as caught:
            await talk
        assert caught.value.reason is Reason.COMPETING
        assert "phone" in caught.value.message and "accounts.compete" in caught.value.message, "it says what to do"
        assert scene.ib.count("/iserver/auth/ssodh/init") == 0

    async def fight() -> None:
        scene = Scene(compete=True)
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(60)
        scene.ib.competing = True
        scene.conversation.nudge()
        await asyncio.sleep(10)
        assert {"publish": True, "compete": True} in scene.ib.bodies
        assert len(scene.streams) == 2
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "Competing")
        assert "took the session once" in scene.conditions.message
        talk.cancel()

    play(leave)
    play(fight)


def test_a_dead_session_of_our_own_is_no_stranger() -> None:
    async def act() -> None:
        scene = Scene()
        scene.left_open = scene.ib.left_over = True
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(10)
        assert (scene.logins, len(scene.streams)) == (1, 1)
        assert scene.ib.count("/iserver/auth/ssodh/init") == 0, "the gateway has taken it by itself"
        scene.ib.competing = True
        scene.conversation.nudge()
        with pytest.raises(SessionError) as caught:
            await talk
        assert caught.value.reason is Reason.COMPETING, "once it has streamed, who competes is somebody else"

    play(act)


def test_a_dead_session_that_the_gateway_does_not_take_is_taken_once() -> None:
    async def act() -> None:
        scene = Scene()
        scene.left_open = scene.ib.competing = True
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(20)
        assert len(scene.streams) == 1
        assert [body for body in scene.ib.bodies if body] == [{"publish": True, "compete": True}]
        talk.cancel()

    play(act)


def test_who_fights_for_the_session_after_it_was_taken_once_has_it() -> None:
    async def act() -> None:
        scene = Scene()
        scene.left_open = scene.ib.competing = scene.ib.fights = True
        with pytest.raises(SessionError) as caught:
            await scene.conversation.run()
        assert caught.value.reason is Reason.COMPETING
        assert scene.ib.count("/iserver/auth/ssodh/init") == 1
        assert scene.streams == []

    play(act)


def test_who_competes_with_a_login_after_a_logout_is_somebody_else() -> None:
    async def act() -> None:
        scene = Scene()
        scene.ib.competing = True
        with pytest.raises(SessionError) as caught:
            await scene.conversation.run()
        assert caught.value.reason is Reason.COMPETING
        assert scene.ib.logged_in_at is not None
        assert asyncio.get_running_loop().time() - scene.ib.logged_in_at < 3, "before the gateway's own init takes it"

    play(act)


def test_a_single_401_beside_a_stream_costs_nothing() -> None:
    async def act() -> None:
        scene = Scene()
        scene.data_age_s = 0.5
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        scene.ib.denied = True
        scene.conversation.nudge()
        await asyncio.sleep(75)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "SessionDenied")
        assert scene.ib.count("/tickle") < 15
        scene.ib.denied = False
        await asyncio.sleep(40)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "")
        assert (scene.logins, len(scene.streams)) == (1, 1)
        talk.cancel()

    play(act)


def test_denied_without_data_the_session_is_given_up_within_seconds() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        scene.ib.logged_in_at = None
        scene.conversation.nudge()
        begun = asyncio.get_running_loop().time()
        with pytest.raises(SessionError):
            await talk
        assert asyncio.get_running_loop().time() - begun < 6

    play(act)


def test_a_session_lost_soon_after_its_login_is_not_waited_for() -> None:
    async def act() -> None:
        scene = Scene()
        scene.stream_life = 2.0
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(8)
        assert len(scene.streams) == 1, "it streams, five seconds after the login"
        scene.ib.logged_in_at = None
        begun = asyncio.get_running_loop().time()
        with pytest.raises(SessionError) as caught:
            await talk
        assert (caught.value.reason, caught.value.delay) == (Reason.SESSION_LOST, None)
        assert asyncio.get_running_loop().time() - begun < 3

    play(act)


def test_brokerage_session_lost_soon_after_a_login_is_repaired() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(8)
        assert len(scene.streams) == 1, "it streams, five seconds after the login"
        scene.ib.brokerage = False
        scene.conversation.nudge()
        lost = asyncio.get_running_loop().time()
        await asyncio.sleep(6)
        repaired = [moment - lost for moment, _, path in scene.ib.calls if path == "/iserver/auth/ssodh/init"]
        assert len(repaired) == 1 and repaired[0] < 2.5
        assert (scene.logins, len(scene.streams)) == (1, 2)
        talk.cancel()

    play(act)


def test_a_session_that_ib_does_not_know_after_the_login_is_waited_for() -> None:
    async def act() -> None:
        scene = Scene()
        scene.ib.denied = True
        begun = asyncio.get_running_loop().time()
        with pytest.raises(SessionError) as caught:
            await scene.conversation.run()
        assert (caught.value.reason, caught.value.delay) == (Reason.SESSION_LOST, 60.0)
        assert "IB knew no session of it for 20 s" in caught.value.message
        assert scene.logins == 1
        assert asyncio.get_running_loop().time() - begun < 30

    play(act)


def test_a_429_is_followed_by_15_minutes_of_silence_while_the_stream_goes_on() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        scene.ib.failing = 429
        await asyncio.sleep(60)
        scene.ib.failing = None
        calls = len(scene.ib.calls)
        await asyncio.sleep(14 * 60)
        assert len(scene.ib.calls) == calls
        assert scene.penalties == 1, "the others of this address are told once"
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "PenaltyBox")
        await asyncio.sleep(5 * 60)
        assert len(scene.ib.calls) > calls
        assert scene.conditions.reason == ""
        assert len(scene.streams) == 1
        talk.cancel()

    play(act)


def test_a_429_that_another_worker_got_silences_this_one_too() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        scene.budget.hear(asyncio.get_running_loop().time(), 600.0)
        calls = len(scene.ib.calls)
        await asyncio.sleep(600)
        assert (len(scene.ib.calls), scene.penalties) == (calls, 0)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "PenaltyBox")
        await asyncio.sleep(180)
        assert (len(scene.ib.calls) > calls, len(scene.streams)) == (True, 1)
        talk.cancel()

    play(act)


def test_its_address_is_asked_for_once_and_not_next_to_the_gateways_own_question() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(3600)
        asked = [moment for moment, _, path in scene.ib.calls if path == "/sso/validate"]
        assert len(asked) == 1
        assert scene.ib.logged_in_at is not None
        assert asked[0] - scene.ib.logged_in_at > 61, "IB takes one a minute, and the gateway has made it at the login"
        assert scene.addresses == ["203.0.113.7"]
        talk.cancel()

    play(act)


def test_an_upstream_in_trouble_does_not_end_a_stream_that_goes_on() -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        scene.ib.failing = 503
        await asyncio.sleep(600)
        scene.ib.failing = None
        await asyncio.sleep(120)
        assert len(scene.streams) == 1
        talk.cancel()

    play(act)


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        ({"failing": 503}, "UpstreamUnreachable", "HTTP 503"),
        ({"html": True}, "NonsenseAnswer", "not JSON: <html>"),
        ({"slow": True}, "UpstreamUnreachable", "no answer within 5 s"),
    ],
    ids=["503", "HTML", "slow"],
)
def test_what_is_wrong_with_its_answers_is_named_while_it_streams_and_while_it_does_not(
    fault: dict[str, Any], reason: str, says: str
) -> None:
    async def act() -> None:
        scene = Scene()
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        vars(scene.ib).update(fault)
        await asyncio.sleep(70)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, reason)
        assert says in scene.conditions.message
        vars(scene.ib).update(dict.fromkeys(fault, None))
        await asyncio.sleep(70)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.STREAMING, "")
        talk.cancel()
        vars(scene.ib).update(fault)
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(30)
        assert (scene.conditions.session, scene.conditions.reason) == (Session.RECONNECTING, reason)
        talk.cancel()

    play(act)


def test_a_gateway_that_never_makes_sense_is_given_up_after_two_minutes() -> None:
    async def act() -> None:
        scene = Scene()
        scene.ib.failing = 503
        begun = asyncio.get_running_loop().time()
        with pytest.raises(SessionError) as caught:
            await scene.conversation.run()
        assert caught.value.reason is Reason.GATEWAY_SILENT
        assert caught.value.restart_gateway
        assert 120 < asyncio.get_running_loop().time() - begun < 150
        assert len(scene.ib.calls) < 40

    play(act)


@pytest.mark.parametrize(
    ("fault", "hours"), [({"failing": 503}, 6), ({"failing": 500}, 6), ({"slow": True}, 0.04), ({"html": True}, 0.04)]
)
def test_a_login_is_not_given_up_while_ib_says_it_is_away(fault: dict[str, Any], hours: float) -> None:
    """Maintenance: a new gateway would need a new login, which would lead to nothing either."""

    async def act() -> None:
        scene = Scene()
        scene.stream_life = 20
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(15)
        vars(scene.ib).update(fault)
        begun = asyncio.get_running_loop().time()
        with pytest.raises(SessionError) as caught:
            await talk
        assert caught.value.reason is Reason.GATEWAY_SILENT
        assert 0.8 < (asyncio.get_running_loop().time() - begun) / 3600 / hours < 1.5
        assert scene.logins == 1

    play(act)


def test_a_session_goes_on_soon_after_hours_of_maintenance() -> None:
    async def act() -> None:
        scene = Scene()
        scene.stream_life = 20
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(15)
        scene.ib.failing = 503
        await asyncio.sleep(5 * 3600)
        scene.ib.failing, scene.stream_life = None, 1e9
        streams = len(scene.streams)
        await asyncio.sleep(30)
        assert (len(scene.streams), scene.logins) == (streams + 1, 1)
        talk.cancel()

    play(act)


def test_a_stream_that_keeps_breaking_is_tried_ever_more_slowly() -> None:
    async def act() -> None:
        scene = Scene()
        scene.stream_life = 0.1
        talk = asyncio.create_task(scene.conversation.run())
        await asyncio.sleep(120)
        assert 6 < len(scene.streams) < 20
        assert len(scene.streams) > 1 and scene.streams[1][0] - scene.streams[0][0] < 1.5
        talk.cancel()

    play(act)


def test_a_silent_feed_is_connected_anew_then_opened_anew_then_logged_in_anew() -> None:
    async def act() -> None:
        scene = Scene()
        scene.stream_life = 40.0
        scene.stream_ends = [StreamEnd(End.SILENT_FEED, "no market data", silent_in_a_row=n) for n in (1, 2, 3)]
        initialised: list[int] = []
        said: list[str] = []
        scene.conditions._on_change = lambda: said.append(scene.conditions.reason)
        talk = asyncio.create_task(scene.conversation.run())
        for count in (1, 2, 3):
            while len(scene.streams) < count:  # noqa: ASYNC110 - its sleep takes no time
                await asyncio.sleep(1)
            initialised.append(scene.ib.count("/iserver/auth/ssodh/init"))
        with pytest.raises(SessionError) as caught:
            await talk
        assert caught.value.reason is Reason.FEED_SILENT
        assert "3 connections in a row" in caught.value.message
        assert initialised == [0, 0, 1]
        assert scene.logins == 1
        assert (scene.conditions.session, scene.conditions.reason) == (Session.RECONNECTING, Reason.FEED_SILENT)
        assert set(said) == {"", Reason.FEED_SILENT}, "nothing else is wrong with the session"

    play(act)
