"""Asking workers, over HTTP; a worker's answers are played."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.calls import CallRefusedError, Signer, verify
from ibfeed_api.feed import Root
from ibfeed_operator.controller.universe_resolver import ResolverCandidate, UniverseResolver, _Asked
from ibfeed_operator.kube.client import KubeClient
from ibfeed_operator.model.types import Contract, Feed, RootProblemKind
from ibfeed_operator.planning import universe
from support.build import contract, feed

ONE = feed(front_months=1)
ANSWER = {
    "root": "CL",
    "contracts": [
        {
            "conid": 1,
            "root": "CL",
            "symbol": "CLF7",
            "exchange": "NYMEX",
            "contractMonth": "202701",
            "lastTradingDay": "20270120",
        }
    ],
}


Answer = Callable[[], web.Response]


@dataclass
class Asking:
    """A resolver and the requests that it made."""

    http: aiohttp.ClientSession
    answer: Answer = lambda: web.json_response(ANSWER)
    requests: list[web.BaseRequest] = field(default_factory=list)
    signer: Signer = field(default_factory=Signer)
    woken: int = 0

    def __post_init__(self) -> None:
        def wake() -> None:
            self.woken += 1

        unused = KubeClient(ApiClient(Configuration(host="http://127.0.0.1:9")))
        self.resolver = UniverseResolver(unused, self.http, self.signer, wake)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        return self.answer()

    def refresh(self, known: dict[int, Contract] | None = None, *, of: Feed = ONE, **more: Any) -> None:
        candidates = [ResolverCandidate(shard="energy-0", ip="10.0.0.1", operator_key=self.signer.public_key)]
        settings: dict[str, Any] = {"doubtful": (), "today": "20270101"}
        self.resolver.refresh(of, known or {}, candidates, **(settings | more))

    async def done(self) -> None:
        if self.resolver._task is not None:
            await self.resolver._task


@pytest_asyncio.fixture
async def asking() -> AsyncIterator[Asking]:
    """Whichever worker is asked, the same server answers; its socket is in a directory with a short name."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/worker"
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as http:
            asking = Asking(http)
            runner = web.ServerRunner(web.Server(asking.handle))
            await runner.setup()
            await web.UnixSite(runner, path).start()
            try:
                yield asking
            finally:
                await runner.cleanup()


async def test_signed_question_and_answer(asking: Asking) -> None:
    asking.refresh()
    await asking.done()
    (request,) = asking.requests
    assert str(request.url) == "http://10.0.0.1:8080/v1/universe/CL?months=2&since=20270101"
    token = request.headers["Authorization"].removeprefix("Bearer ")
    verify(token, public_key=asking.signer.public_key, shard="default/energy-0", path="/v1/universe/CL")
    with pytest.raises(CallRefusedError):
        verify(token, public_key=asking.signer.public_key, shard="default/energy-1", path="/v1/universe/CL")
    assert asking.resolver.answers["CL"].contracts[0].symbol == "CLF7"
    assert asking.woken == 1


async def test_one_product_of_a_root_is_asked_for(asking: Asking) -> None:
    root = Root(symbol="HHI.HK", exchange="HKFE", trading_class="MCH.HK", multiplier="10.0", currency="HKD")
    asking.refresh(of=feed(roots=(root,), front_months=1))
    await asking.done()
    (request,) = asking.requests
    assert request.path == "/v1/universe/HHI.HK"
    assert dict(request.query) == {
        "months": "2",
        "since": "20270101",
        "exchange": "HKFE",
        "tradingClass": "MCH.HK",
        "multiplier": "10",
        "currency": "HKD",
    }


@pytest.mark.parametrize(
    ("answer", "due"),
    [
        (universe.Answer(root="SI", months=2), False),
        (universe.Answer(root="SI", months=2, unread=3), True),
        (universe.Answer(root="SI", months=2, unusable=("no month",)), True),
    ],
)
def test_an_answer_that_is_not_complete_is_asked_for_again(answer: universe.Answer, due: bool) -> None:
    asked = _Asked(answer, at=0.0, day="20270101")
    for now, expected in ((30.0, False), (61.0, due)):
        assert asked.due(2, whole=True, doubtful=False, today="20270101", now=now) is expected


async def test_asked_once_until_something_changes(asking: Asking) -> None:
    for _ in range(3):
        asking.refresh({1: contract(1, day="20270120")} if asking.requests else None)
        await asking.done()
    assert len(asking.requests) == 1
    asking.refresh({1: contract(1, day="20270120")}, today="20270102")  # after each trading day
    await asking.done()
    assert len(asking.requests) == 2


async def test_new_operator_asks_for_the_successor_on_a_contracts_last_day(asking: Asking) -> None:
    asking.refresh({1: contract(1, day="20270120")}, today="20270119")
    await asking.done()
    assert asking.requests == []
    asking.refresh({1: contract(1, day="20270120")}, today="20270120")
    await asking.done()
    assert len(asking.requests) == 1


async def test_new_operator_that_knows_everything_does_not_ask(asking: Asking) -> None:
    asking.refresh({1: contract(1, day="20270120")})
    await asking.done()
    assert asking.requests == []


@pytest.mark.parametrize(
    ("status", "text", "trouble", "message"),
    [
        (404, '{"error": "no"}', RootProblemKind.UNKNOWN, ""),
        (503, '{"error": "not streaming"}', RootProblemKind.FAILED, "503 not streaming"),
        (502, "<html>", RootProblemKind.FAILED, "502 Bad Gateway"),
        (307, "", RootProblemKind.FAILED, "307 Temporary Redirect"),
        (200, '{"root": "CL", "contracts": []}', RootProblemKind.FAILED, "no contract"),
        (200, "nonsense", RootProblemKind.FAILED, "nonsense"),
    ],
)
async def test_what_goes_wrong_is_said(
    asking: Asking, status: int, text: str, trouble: RootProblemKind, message: str
) -> None:
    asking.answer = lambda: web.Response(status=status, text=text, headers={"Location": "/v1/universe/NG"})
    asking.refresh()
    await asking.done()
    answer = asking.resolver.answers["CL"]
    assert answer.problem is trouble
    assert message in answer.message
    assert len(asking.requests) == 1


async def test_worker_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("ibfeed_operator.controller.universe_resolver.time", SimpleNamespace(monotonic=lambda: now))
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector("/nobody")) as http:
        asking = Asking(http)
        asking.refresh()
        await asking.done()
        assert "Cannot connect" in asking.resolver.answers["CL"].message
        asking.refresh()  # not at once again
        await asking.done()
        assert asking.woken == 1
        now += 1.05
        asking.refresh()
        await asking.done()
        assert asking.woken == 2


async def test_worker_that_has_not_seen_the_key_yet_is_asked_again(asking: Asking) -> None:
    answers = iter([web.Response(status=401), web.Response(status=401), web.json_response(ANSWER)])
    asking.answer = lambda: next(answers)
    asking.refresh()
    await asking.done()
    assert len(asking.requests) == 3
    assert asking.resolver.answers["CL"].problem is None


async def test_worker_that_never_accepts_the_key_is_given_up(asking: Asking) -> None:
    asking.answer = lambda: web.json_response({"error": "signature not accepted"}, status=401)
    asking.refresh()
    await asking.done()
    assert len(asking.requests) == 6
    assert "signature not accepted" in asking.resolver.answers["CL"].message
