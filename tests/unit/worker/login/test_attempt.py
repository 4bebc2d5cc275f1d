"""The logins of several workers of one source against a page that refuses them, with hours in milliseconds.

Real are everything that decides and what the Leases hold; the browser and the API server are not.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from datapath import virtual_time
from datapath.virtual_time import Clock
from ibfeed_api.feed import Accounts, Kafka, SecretRef, WorkerSpec
from ibfeed_api.reasons import Reason
from ibfeed_api.shard import Account, Session
from ibfeed_operator.model.decode import read_lease
from ibfeed_operator.planning.accounts import taken_back, wrongly_parked
from ibfeed_worker.account.fence import Fence
from ibfeed_worker.account.leaseholder import Leaseholder, acquire_lease
from ibfeed_worker.credentials import Credentials, CredentialsError
from ibfeed_worker.errors import AccountParkedError, SessionError
from ibfeed_worker.login.attempt import Logins
from ibfeed_worker.login.page import Outcome, Result
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.runtime.tasks import cancel, first
from ibfeed_worker.session.status import SessionStatus
from support.build import worker_config
from support.failsafe import Members
from support.leases import Leases

START = datetime(2026, 11, 18, 15, tzinfo=UTC)  # a Wednesday, far from IB's nights
POOL = "ib-account-paper-logins"
INVALID = Result(outcome=Outcome.WRONG_CREDENTIALS, text="Invalid username password combination")
FACTOR = Result(outcome=Outcome.SECOND_FACTOR, text="the login asks for a second factor")
LOCKED = Result(outcome=Outcome.LOCKED, text="This account has been locked")
MODE = Result(outcome=Outcome.WRONG_MODE, text="Please select the correct Login mode")
ERROR = Result(outcome=Outcome.REFUSED, text="ERROR")
CHANGED = Result(outcome=Outcome.PAGE_CHANGED, text="found no user name field on the login page")
WELL = Result(outcome=Outcome.SUCCEEDED)
PAGE_S = 8.0  # from the browser's start to the answer, the form's wait included


class Page:
    """IB's login page. ``says``: its answer by user name; ``sent``: when which form was sent, and after which wait."""

    def __init__(self, clock: Clock) -> None:
        self.says: dict[str, Result] = {}
        self.everybody: Result | None = None
        self.sent: list[tuple[datetime, str, float]] = []
        self._clock = clock

    async def log_in(self, *_: Any, username: str, submit_wait_s: float, may_submit: Any, **__: Any) -> Result:
        await asyncio.sleep(PAGE_S - 1)
        said = self.everybody or self.says.get(username, WELL)
        if said.outcome is Outcome.PAGE_CHANGED:
            return said
        await may_submit()
        self.sent.append((self._clock.now(), username, submit_wait_s))
        await asyncio.sleep(1)
        return said

    def forms(self, username: str = "") -> list[float]:
        """Minutes since the start."""
        return [(at - START) / timedelta(minutes=1) for at, name, _ in self.sent if username in ("", name)]


class Vault:
    def __init__(self) -> None:
        self.passwords: dict[int, str] = {}
        self.away = False

    async def read(self, index: int) -> Credentials:
        if self.away:
            raise CredentialsError(Reason.CREDENTIALS_MISSING, "there is no Secret", retryable=False)
        return Credentials(f"paper{index}", self.passwords.get(index, "secret"))


class Seat:
    """A worker, as far as its logins go: a process of it ends and another begins with ``restart``."""

    def __init__(self, world: World, index: int) -> None:
        self._world = world
        self.account = Account(source="paper", index=index, lease=f"ib-account-paper-{index}")
        self.states: list[tuple[datetime, Session, str]] = []
        self.streaming = False
        self.lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.start()

    async def restart(self) -> None:
        await self.end()
        self.start()

    def start(self) -> None:
        self.conditions = SessionStatus(Metrics(), self._told)
        self.logins = Logins(
            self._world.config,
            self._world.leases,  # type: ignore[arg-type]
            self.conditions,
            Metrics(),
            self._world.vault,
            self._world.page.log_in,
        )
        self._task = asyncio.create_task(self._live())

    async def end(self) -> None:
        if self._task is not None:
            await cancel(self._task)

    @property
    def parked(self) -> str:
        return self._world.leases.annotations(self.account.lease).get("ibfeed.dev/parked", "")

    @property
    def history(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self._world.leases.annotations(self.account.lease).get("ibfeed.dev/history", "{}")
        )
        return found

    def _told(self) -> None:
        self.states.append((self._world.clock.now(), self.conditions.session, self.conditions.reason))

    async def _live(self) -> None:
        while True:
            fence = Fence(SimpleNamespace(arm=lambda _: None, disarm=lambda: None), lambda: None)
            hold = await acquire_lease(
                self._world.leases, self.account.lease, f"w-{self.account.index}_u", fence, lambda _: None, Members()
            )
            try:
                await self._sessions(hold)
            except AccountParkedError as parked:
                self.conditions.set(Session.PARKED, parked.reason, parked.message)
            finally:
                self.streaming = False
                await hold.release()
            await self.logins.while_parked(self.account)

    async def _sessions(self, hold: Leaseholder) -> None:
        while True:
            try:
                await self.logins.until_due(self.account, hold)
                self.conditions.set(Session.LOGGING_IN)
                credentials = asyncio.create_task(self.logins.read(self.account, hold))
                gateway: Any = SimpleNamespace(login_url="", tls=SimpleNamespace(spki=""))
                await self.logins.log_in(self.account, gateway, hold, credentials)
                self.streaming = True
                self.conditions.set(Session.STREAMING)
                self.lost.clear()
                await first(self.logins.note_stream(self.account, hold, lambda: self.streaming), self.lost.wait())
                self.streaming = False
            except SessionError as setback:
                await self._back_off(setback)

    async def _back_off(self, setback: SessionError) -> None:
        now = self._world.clock.now()
        until = setback.until or now + timedelta(seconds=30.0 if setback.delay is None else setback.delay)
        self.conditions.set(Session.BACKING_OFF, setback.reason, setback.message)
        nap = asyncio.sleep(max(0.0, (until - now).total_seconds()))
        if setback.reason is Reason.WRONG_CREDENTIALS:
            await first(nap, self.logins.until_corrected(self.account))
        else:
            await nap


class World:
    def __init__(self, clock: Clock, page: Page, accounts: int, **more: Any) -> None:
        self.clock = clock
        self.page = page
        self.vault = Vault()
        self.leases = Leases(POOL, *(f"ib-account-paper-{index}" for index in range(1, accounts + 1)))
        spec = WorkerSpec(
            accounts=Accounts(secret_ref=SecretRef(name="paper"), count=accounts, **more),
            kafka=Kafka(bootstrap_servers="kafka:9092"),
        )
        self.config = worker_config(spec)
        self.seats = [Seat(self, index) for index in range(1, accounts + 1)]
        self._operator = asyncio.create_task(self._take_back())

    async def end(self) -> None:
        await cancel(self._operator)
        for seat in self.seats:
            await seat.end()

    @property
    def parked(self) -> list[int]:
        return [seat.account.index for seat in self.seats if seat.parked]

    @property
    def streaming(self) -> list[int]:
        return [seat.account.index for seat in self.seats if seat.streaming]

    @property
    def trouble(self) -> str:
        return self.leases.annotations(POOL).get("ibfeed.dev/page-trouble", "")

    async def until(self, what: Callable[[], bool], within: timedelta) -> timedelta:
        begun = self.clock.now()
        while not what():
            assert self.clock.now() - begun < within, f"not within {within}"
            await asyncio.sleep(1)
        return self.clock.now() - begun

    async def _take_back(self) -> None:
        """The operator's part: it takes back what was held against accounts for the page's fault."""
        while True:
            await asyncio.sleep(20)
            found = [read_lease(msgspec.json.encode(one)) for one in self.leases.objects.values()]
            for lease in wrongly_parked(found):
                await self.leases.patch_lease(lease.name, {"metadata": {"annotations": taken_back(lease)}})


Act = Callable[[World], Coroutine[Any, Any, None]]


def play(monkeypatch: pytest.MonkeyPatch, act: Act, *, accounts: int = 4, start: datetime = START, **more: Any) -> None:
    async def main(clock: Clock, _: object) -> None:
        page = Page(clock)
        world = World(clock, page, accounts, **more)
        try:
            await act(world)
        finally:
            await world.end()

    virtual_time.run(main, start)


def hours(number: float) -> float:
    return number * 3600


@pytest.mark.parametrize("said", [FACTOR, LOCKED, MODE, ERROR, INVALID], ids=lambda said: said.outcome.name)
def test_a_page_that_refuses_all_uses_no_third_account(monkeypatch: pytest.MonkeyPatch, said: Result) -> None:
    async def act(world: World) -> None:
        world.page.everybody = said
        await asyncio.sleep(hours(0.2))
        used = sorted({int(name.removeprefix("paper")) for _, name, _ in world.page.sent})
        assert len(used) == 2
        assert world.parked == []
        reasons = {seat.conditions.reason for seat in world.seats}
        assert reasons == {Reason.LOGIN_PAGE_TROUBLE.value}
        assert f"accounts {used[0]}, {used[1]}," in world.seats[3].conditions.message

    play(monkeypatch, act)


@pytest.mark.parametrize("said", [FACTOR, ERROR, CHANGED], ids=lambda said: said.outcome.name)
def test_it_ends_by_itself_when_logins_pass_again(monkeypatch: pytest.MonkeyPatch, said: Result) -> None:
    async def act(world: World) -> None:
        world.page.everybody = said
        await asyncio.sleep(hours(4))
        before = len(world.page.sent)
        world.page.everybody = None
        took = await world.until(lambda: len(world.streaming) == 4, within=timedelta(minutes=50))
        assert world.parked == []
        assert len(world.page.sent) - before == 4, "each logs in once"
        assert took > timedelta(seconds=PAGE_S)

    play(monkeypatch, act)


@pytest.mark.parametrize("said", [FACTOR, ERROR, INVALID], ids=lambda said: said.outcome.name)
def test_one_worker_at_a_time_probes(monkeypatch: pytest.MonkeyPatch, said: Result) -> None:
    async def act(world: World) -> None:
        world.page.everybody = said
        await asyncio.sleep(hours(14))
        probes = world.page.forms()[2:]
        assert probes, "it is tried again"
        assert all(later - sooner >= 4 for sooner, later in pairwise(probes))
        counts = Counter(name for _, name, _ in world.page.sent)
        assert max(counts.values()) <= 10, "a day's logins of an account"
        if said is INVALID:  # IB is known to lock after five in a row
            assert max(counts.values()) <= 4
        assert world.parked == []

    play(monkeypatch, act)


def test_after_a_day_of_it_everybody_is_back_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes use up what an account may try in a day, but for one login."""

    async def act(world: World) -> None:
        world.page.everybody = ERROR
        await asyncio.sleep(hours(27))
        world.page.everybody = None
        await world.until(lambda: bool(world.streaming), within=timedelta(minutes=50))
        await world.until(lambda: len(world.streaming) == 4, within=timedelta(minutes=1.5))
        for name in ("paper1", "paper2", "paper3", "paper4"):
            minutes = world.page.forms(name)
            assert max(sum(begin <= one < begin + 1440 for one in minutes) for begin in minutes) <= 9

    play(monkeypatch, act)


def test_an_account_alone_is_parked_and_the_others_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(world: World) -> None:
        world.page.says["paper2"] = FACTOR
        await world.until(lambda: (world.streaming, world.parked) == ([1, 3, 4], [2]), within=timedelta(minutes=1))
        await asyncio.sleep(hours(1.9))
        assert len(world.page.forms("paper2")) == 1
        await asyncio.sleep(hours(0.3))
        assert len(world.page.forms("paper2")) == 2, "after two hours it is tried again"
        world.page.says.clear()
        await world.until(lambda: len(world.streaming) == 4, within=timedelta(hours=4.1))
        assert world.parked == []

    play(monkeypatch, act)


def test_two_that_are_ill_by_themselves_do_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """They look like the page at first: but others are tried after a while, and pass."""

    async def act(world: World) -> None:
        world.page.says |= {"paper1": FACTOR, "paper2": FACTOR}
        for seat in world.seats[2:]:  # had they logged in before, nothing would have to be found out
            await seat.end()
        await asyncio.sleep(10)
        for seat in world.seats[2:]:
            seat.start()
        await world.until(lambda: world.streaming == [3, 4], within=timedelta(minutes=30))
        await asyncio.sleep(hours(0.5))
        assert world.parked == [1, 2]
        assert world.streaming == [3, 4]

    play(monkeypatch, act)


def test_a_wrong_password_is_tried_four_times_and_parked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(world: World) -> None:
        world.page.says["paper1"] = INVALID
        await asyncio.sleep(hours(2))
        assert world.parked == [1]
        waits = [round(wait, 1) for _, _, wait in world.page.sent]
        assert waits == [5.0, 10.0, 15.0, 20.0], "the form waits longer after each such answer"
        minutes = world.page.forms()
        assert [round(later - sooner, 1) for sooner, later in pairwise(minutes)] == [
            0.6,
            5.1,
            30.1,
        ]
        assert "Invalid username password combination" in world.seats[0].conditions.message
        assert "is parked since 2026-11-18 15:36 UTC" in world.seats[0].conditions.message

    play(monkeypatch, act, accounts=1)


@pytest.mark.parametrize("parked", [False, True], ids=["backing off", "parked"])
def test_corrected_credentials_are_tried_at_once(monkeypatch: pytest.MonkeyPatch, parked: bool) -> None:
    async def act(world: World) -> None:
        world.page.says["paper1"] = INVALID
        await asyncio.sleep(hours(3 if parked else 0.3))
        assert world.parked == ([1] if parked else [])
        tried = len(world.page.sent)
        await asyncio.sleep(hours(0.1))
        assert len(world.page.sent) == tried
        world.vault.away = True  # while somebody writes it
        await asyncio.sleep(60)
        world.vault.away = False
        world.vault.passwords[1] = "the right one"
        world.page.says.clear()
        took = await world.until(lambda: world.streaming == [1], within=timedelta(minutes=1))
        assert took < timedelta(seconds=40)
        assert world.parked == []
        assert world.leases.annotations("ib-account-paper-1").keys() & {"ibfeed.dev/failed-logins"} == set()

    play(monkeypatch, act, accounts=1)


def test_corrected_credentials_need_not_wait_for_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """All passwords were wrong, so it looked like the page; the first that is corrected tells."""

    async def act(world: World) -> None:
        world.page.everybody = INVALID
        await asyncio.sleep(hours(3))
        assert world.trouble
        world.page.everybody = None
        world.vault.passwords[3] = "the right one"
        await world.until(lambda: 3 in world.streaming, within=timedelta(minutes=1))
        await world.until(lambda: len(world.streaming) == 4, within=timedelta(minutes=2))

    play(monkeypatch, act)


def test_a_new_process_goes_on_where_the_last_one_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is restarted, IB sees no more forms."""

    async def act(world: World) -> None:
        world.page.says["paper1"] = ERROR
        for _ in range(24 * 30):
            await asyncio.sleep(120)
            await world.seats[0].restart()
        assert len(world.page.sent) <= 10
        assert world.parked == []

    play(monkeypatch, act, accounts=1)


def test_a_refusal_during_the_weekend_is_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    saturday = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # 18:30 in New York

    async def act(world: World) -> None:
        world.page.says["paper1"] = INVALID
        await asyncio.sleep(hours(8.4))
        assert world.parked == []
        assert len(world.page.sent) <= 6
        before = len(world.page.sent)
        await asyncio.sleep(hours(0.4))  # it ended at 08:00 UTC
        assert len(world.page.sent) == before + 1, "soon after the end it is tried again"

    play(monkeypatch, act, accounts=1, start=saturday)


def test_a_stream_wipes_what_led_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(world: World) -> None:
        world.page.says["paper1"] = ERROR
        await asyncio.sleep(90)
        assert len(world.seats[0].history["tries"]) == 2
        world.page.says.clear()
        await world.until(lambda: world.streaming == [1], within=timedelta(minutes=6))
        await asyncio.sleep(5)
        assert world.seats[0].history == {}

    play(monkeypatch, act, accounts=1)


def test_the_lease_tells_the_user_but_not_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(world: World) -> None:
        await world.until(lambda: len(world.streaming) == 2, within=timedelta(minutes=1))
        users = [world.leases.annotations(f"ib-account-paper-{index}")["ibfeed.dev/user"] for index in (1, 2)]
        assert len(set(users)) == 2
        assert all(len(user) == 16 for user in users)
        assert "paper1" not in json.dumps(world.leases.objects).replace("ib-account-paper-1", "")

    play(monkeypatch, act, accounts=2)
