"""Asking workers, with a worker's answers at the edge of httpx."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from kubernetes.aio.client import ApiClient, Configuration

from ibfeed_api.calls import CallRefused, Signer, verify
from ibfeed_operator.cluster import Cluster
from ibfeed_operator.facts import Contract, RootTrouble
from ibfeed_operator.resolver import Candidate, Resolver
from unit.operator_core.facts import contract, feed

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


@dataclass
class Asking:
    """A resolver and the requests that it made."""

    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request] = field(default_factory=list)
    signer: Signer = field(default_factory=Signer)
    woken: int = 0

    def __post_init__(self) -> None:
        def handle(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return self.answer(request)

        def wake() -> None:
            self.woken += 1

        unused = Cluster(ApiClient(Configuration(host="http://127.0.0.1:9")))
        self.resolver = Resolver(unused, httpx.AsyncClient(transport=httpx.MockTransport(handle)), self.signer, wake)

    def refresh(self, known: dict[int, Contract] | None = None, **more: object) -> None:
        candidates = [Candidate(shard="energy-0", ip="10.0.0.1", operator_key=self.signer.public_key)]
        settings: dict[str, object] = {"doubtful": (), "today": "20270101"}
        self.resolver.refresh(ONE, known or {}, candidates, **(settings | more))  # type: ignore[arg-type]

    async def done(self) -> None:
        if self.resolver._task is not None:
            await self.resolver._task


async def test_signed_question_and_answer() -> None:
    asking = Asking(lambda _: httpx.Response(200, json=ANSWER))
    asking.refresh()
    await asking.done()
    (request,) = asking.requests
    assert str(request.url) == "http://10.0.0.1:8080/v1/universe/CL?months=2&since=20270101"
    token = request.headers["Authorization"].removeprefix("Bearer ")
    verify(token, public_key=asking.signer.public_key, shard="default/energy-0", path="/v1/universe/CL")
    with pytest.raises(CallRefused):
        verify(token, public_key=asking.signer.public_key, shard="default/energy-1", path="/v1/universe/CL")
    assert asking.resolver.answers["CL"].contracts[0].symbol == "CLF7"
    assert asking.woken == 1


async def test_asked_once_until_something_changes() -> None:
    asking = Asking(lambda _: httpx.Response(200, json=ANSWER))
    for _ in range(3):
        asking.refresh({1: contract(1, day="20270120")} if asking.requests else None)
        await asking.done()
    assert len(asking.requests) == 1
    asking.refresh({1: contract(1, day="20270120")}, today="20270102")  # after each trading day
    await asking.done()
    assert len(asking.requests) == 2


async def test_new_operator_asks_for_the_successor_on_a_contracts_last_day() -> None:
    asking = Asking(lambda _: httpx.Response(200, json=ANSWER))
    asking.refresh({1: contract(1, day="20270120")}, today="20270119")
    await asking.done()
    assert asking.requests == []
    asking.refresh({1: contract(1, day="20270120")}, today="20270120")
    await asking.done()
    assert len(asking.requests) == 1


async def test_new_operator_that_knows_everything_does_not_ask() -> None:
    asking = Asking(lambda _: httpx.Response(200, json=ANSWER))
    asking.refresh({1: contract(1, day="20270120")})
    await asking.done()
    assert asking.requests == []


@pytest.mark.parametrize(
    ("response", "trouble", "text"),
    [
        (httpx.Response(404, json={"error": "no"}), RootTrouble.UNKNOWN, ""),
        (httpx.Response(503, json={"error": "not streaming"}), RootTrouble.FAILED, "503 not streaming"),
        (httpx.Response(502, text="<html>"), RootTrouble.FAILED, "502 Bad Gateway"),
        (httpx.Response(200, json={"root": "CL", "contracts": []}), RootTrouble.FAILED, "no contract"),
        (httpx.Response(200, text="nonsense"), RootTrouble.FAILED, "nonsense"),
    ],
)
async def test_what_goes_wrong_is_said(response: httpx.Response, trouble: RootTrouble, text: str) -> None:
    asking = Asking(lambda _: response)
    asking.refresh()
    await asking.done()
    answer = asking.resolver.answers["CL"]
    assert answer.trouble is trouble
    assert text in answer.message


async def test_worker_that_cannot_be_reached() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    asking = Asking(refuse)
    asking.refresh()
    await asking.done()
    assert "connection refused" in asking.resolver.answers["CL"].message
    asking.refresh()  # not at once again
    assert len(asking.requests) == 1
    await asyncio.sleep(1.05)
    asking.refresh()
    await asking.done()
    assert len(asking.requests) == 2


async def test_worker_that_has_not_seen_the_key_yet_is_asked_again() -> None:
    answers = iter([httpx.Response(401), httpx.Response(401), httpx.Response(200, json=ANSWER)])
    asking = Asking(lambda _: next(answers))
    asking.refresh()
    await asking.done()
    assert len(asking.requests) == 3
    assert asking.resolver.answers["CL"].trouble is None


async def test_worker_that_never_accepts_the_key_is_given_up() -> None:
    asking = Asking(lambda _: httpx.Response(401, json={"error": "signature not accepted"}))
    asking.refresh()
    await asking.done()
    assert len(asking.requests) == 6
    assert "signature not accepted" in asking.resolver.answers["CL"].message
