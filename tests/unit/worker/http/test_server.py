from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import httpx
import pytest
from prometheus_client import CollectorRegistry

from ibfeed_api import failsafe_calls
from ibfeed_api.calls import CallRefusedError, ResolvedContract, ResolvedRoot, Signer, universe_path
from ibfeed_api.instrument import Product
from ibfeed_api.worker_pod import LIFELINE_PATH
from ibfeed_worker.http.server import HttpServer
from ibfeed_worker.universe.parse import AnswerError
from ibfeed_worker.universe.resolve import CannotAskError, UnknownRootError
from support.ports import free_port

SHARD = "default/energy-0"
CLZ6 = ResolvedContract(
    conid=1,
    root="CL",
    symbol="CLZ6",
    exchange="NYMEX",
    contract_month="202612",
    last_trading_day="20261120",
    trading_class="CL",
    multiplier="1000",
    currency="USD",
)


class Answers:
    def __init__(self) -> None:
        self.signer = Signer()
        self.wrong = ""
        self.ready = True
        self.error: Exception | None = None
        self.root = ""
        self.since: date | None = None
        self.wanted: Product | None = None
        self.key: str | None = self.signer.public_key

    def health(self) -> str:
        return self.wrong

    def is_ready(self) -> bool:
        return self.ready

    def operator_key(self) -> str | None:
        return self.key

    async def failsafe(self, body: str) -> str:
        if body != "asked":
            raise CallRefusedError("signature not accepted")
        return "answered"

    async def resolve(self, root: str, months: int, since: date, wanted: Product) -> ResolvedRoot:
        if self.error:
            raise self.error
        self.root, self.since, self.wanted = root, since, wanted
        return ResolvedRoot(root=root, contracts=(CLZ6,) * months)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def client(answers: Answers) -> AsyncIterator[httpx.AsyncClient]:
    port = free_port()
    server = HttpServer(answers, CollectorRegistry(), shard=SHARD, port=port)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    await server.stop()


def signed(answers: Answers, root: str = "CL", shard: str = SHARD) -> dict[str, str]:
    return {"Authorization": f"Bearer {answers.signer.token(shard=shard, path=universe_path(root))}"}


async def test_probes_and_metrics(client: httpx.AsyncClient, answers: Answers) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200
    assert (await client.get("/metrics")).status_code == 200
    answers.wrong, answers.ready = "stuck", False
    assert (await client.get("/healthz")).status_code == 503
    assert (await client.get("/readyz")).status_code == 503


async def test_the_operators_question(client: httpx.AsyncClient, answers: Answers) -> None:
    answer = await client.get("/v1/universe/CL?months=2&since=20261119", headers=signed(answers))
    assert answer.status_code == 200
    assert answer.json()["root"] == "CL"
    assert answers.since == date(2026, 11, 19)
    assert answer.json()["contracts"][1] == {
        "conid": 1,
        "root": "CL",
        "symbol": "CLZ6",
        "exchange": "NYMEX",
        "contractMonth": "202612",
        "lastTradingDay": "20261120",
        "tradingClass": "CL",
        "multiplier": "1000",
        "currency": "USD",
    }
    assert answers.wanted == Product()


async def test_one_product_of_a_root_is_asked_for(client: httpx.AsyncClient, answers: Answers) -> None:
    query = "months=2&since=20261119&exchange=COMEX&tradingClass=SIL&multiplier=1000&currency=USD"
    assert (await client.get(f"/v1/universe/SI?{query}", headers=signed(answers, "SI"))).status_code == 200
    assert answers.wanted == Product("COMEX", "SIL", "1000", "USD")


@pytest.mark.parametrize("root", ["HHI.HK", "M-GD", "6E", "M&M", "A/B"])
async def test_roots_that_need_a_quoted_path(client: httpx.AsyncClient, answers: Answers, root: str) -> None:
    path = f"{universe_path(root)}?months=1&since=20261119"
    assert (await client.get(path, headers=signed(answers, root))).status_code == 200
    assert answers.root == root


async def test_only_the_operator_may_ask(client: httpx.AsyncClient, answers: Answers) -> None:
    path = "/v1/universe/CL?months=2&since=20261119"
    assert (await client.get(path)).status_code == 401
    assert (await client.get(path, headers=signed(answers, "NG"))).status_code == 401
    assert (await client.get(path, headers=signed(answers, shard="default/energy-1"))).status_code == 401
    assert (await client.get(path, headers=signed(Answers()))).status_code == 401
    answers.key = None
    assert (await client.get(path, headers=signed(answers))).status_code == 401


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnknownRootError("no CL"), 404), (AnswerError("odd"), 502), (CannotAskError("no session"), 503)],
)
async def test_what_goes_wrong(client: httpx.AsyncClient, answers: Answers, error: Exception, status: int) -> None:
    answers.error = error
    answer = await client.get("/v1/universe/CL?months=2&since=20261119", headers=signed(answers))
    assert (answer.status_code, answer.json()) == (status, {"error": str(error)})


@pytest.mark.parametrize("months", ["", "0", "x", "-1", "100000"])
async def test_months_out_of_bounds(client: httpx.AsyncClient, answers: Answers, months: str) -> None:
    assert (
        await client.get(f"/v1/universe/CL?months={months}&since=20261119", headers=signed(answers))
    ).status_code == 400


@pytest.mark.parametrize("since", ["", "20261332", "today", "2026-11-19"])
async def test_a_day_that_is_none(client: httpx.AsyncClient, answers: Answers, since: str) -> None:
    answer = await client.get(f"/v1/universe/CL?months=2&since={since}", headers=signed(answers))
    assert (answer.status_code, answer.json()) == (400, {"error": "since must be a day, YYYYMMDD"})


async def test_members_are_answered_and_strangers_refused(client: httpx.AsyncClient) -> None:
    answered = await client.post(failsafe_calls.PATH, content="asked")
    assert (answered.status_code, answered.text) == (200, "answered")
    refused = await client.post(failsafe_calls.PATH, content="x")
    assert (refused.status_code, refused.json()) == (401, {"error": "signature not accepted"})


async def test_a_lifeline_stays_until_the_server_stops(answers: Answers) -> None:
    """The stop does not wait for it."""
    port = free_port()
    server = HttpServer(answers, CollectorRegistry(), shard=SHARD, port=port)
    await server.start()
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=None) as client,
        client.stream("GET", LIFELINE_PATH) as lifeline,
    ):
        assert lifeline.status_code == 200
        ended = asyncio.create_task(lifeline.aread())
        assert not (await asyncio.wait({ended}, timeout=0.3))[0]
        async with asyncio.timeout(0.9):  # less than the server's shutdown_timeout
            await server.stop()
        assert await ended == b""
