"""A root's contracts and products, asked of a played IB."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
import pytest

from ibfeed_api.calls import ResolvedRoot
from ibfeed_api.instrument import Product
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.universe.parse import AnswerError
from ibfeed_worker.universe.resolve import CannotAskError, Universe, UnknownRootError
from support.clock import run

TODAY = date(2026, 11, 18)
ANY = Product()
SI, SIL = Product("COMEX", "SI", "5000", "USD"), Product("COMEX", "SIL", "1000", "USD")
MONTHS = [f"20{27 + n // 12}{n % 12 + 1:02d}" for n in range(40)]


@dataclass
class Ib:
    """``rows`` of a root: the product, contract month and last trading day of each conid."""

    rows: dict[int, tuple[Product, str, str]] = field(default_factory=dict)
    root: str = "SI"
    spoilt: dict[int, httpx.Response] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def lists(self, product: Product, *months: str, first: int = 1) -> None:
        for place, month in enumerate(months):
            self.rows[first + place] = (product, month, f"{month}20")

    def rest(self) -> SessionClient:
        tls = PinnedTls(ssl.create_default_context(), "")
        return SessionClient("https://127.0.0.1:5000", tls, Budget(), Metrics(), httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v1/api")
        if path == "/trsrv/futures":
            rows = [
                {"symbol": self.root, "conid": conid, "underlyingConid": 7, "expirationDate": int(day), "ltd": int(day)}
                for conid, (_, _, day) in self.rows.items()
            ]
            return httpx.Response(200, json={self.root: rows} if rows else {})
        conid = int(path.split("/")[3])
        self.asked.append(conid)
        if conid in self.spoilt:
            return self.spoilt[conid]
        (exchange, trading_class, multiplier, currency), month, _ = self.rows[conid]
        info: dict[str, Any] = {"exchange": exchange, "trading_class": trading_class, "multiplier": multiplier}
        return httpx.Response(200, json={**info, "currency": currency, "contract_month": month, "con_id": conid})


def two_silvers() -> Ib:
    ib = Ib()
    ib.lists(SI, *MONTHS[:10], first=100)
    ib.lists(SIL, *MONTHS[:4], first=200)
    return ib


def resolve(ib: Ib, months: int, wanted: Product = ANY, universe: Universe | None = None) -> ResolvedRoot:
    return run((universe or Universe()).resolve(ib.rest(), ib.root, months, TODAY, wanted))


def symbols(found: ResolvedRoot) -> list[str]:
    return [contract.symbol for contract in found.contracts]


def test_a_root_with_one_product_is_asked_for_no_more_than_needed() -> None:
    ib = Ib()
    ib.lists(SI, *MONTHS)
    found = resolve(ib, 3)
    assert symbols(found) == ["SIF7", "SIG7", "SIH7"]
    assert len(ib.asked) == 5  # a handful at once
    assert found.unread == len(MONTHS) - 5


def test_front_months_count_for_each_product() -> None:
    found = resolve(two_silvers(), 3)
    assert symbols(found) == ["SIF7", "SILF7", "SIG7", "SILG7", "SIH7", "SILH7"]
    assert {product.product for product in found.products} == {SI, SIL}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Product(trading_class="SIL"), ["SILF7", "SILG7", "SILH7"]),
        (Product(multiplier="1000"), ["SILF7", "SILG7", "SILH7"]),
        (Product("COMEX", "", "5000", "USD"), ["SIF7", "SIG7", "SIH7"]),
        (Product(exchange="NYMEX"), []),
    ],
)
def test_only_what_is_wanted_is_answered(wanted: Product, expected: list[str]) -> None:
    found = resolve(two_silvers(), 3, wanted)
    assert symbols(found) == expected
    assert {product.product for product in found.products} == {SI, SIL}  # the others are named


def test_a_product_that_stands_far_behind_is_found_in_the_end() -> None:
    async def act() -> None:
        ib = Ib()
        ib.lists(SI, *MONTHS[:30], first=100)
        ib.lists(SIL, *MONTHS[35:], first=200)
        universe, rest = Universe(), ib.rest()
        found = await universe.resolve(rest, "SI", 3, TODAY, ANY)
        assert [product.product for product in found.products] == [SI]
        reading = asyncio.create_task(universe.read_on(rest))
        await asyncio.sleep(60)
        reading.cancel()
        found = await universe.resolve(rest, "SI", 3, TODAY, ANY)
        assert {product.product: product.months for product in found.products} == {SI: 30, SIL: 5}
        assert found.unread == 0
        assert sorted(ib.asked) == sorted(ib.rows)  # each once

    run(act())


def test_nobody_waits_while_the_others_are_read() -> None:
    async def act() -> None:
        ib = Ib()
        ib.lists(SI, *MONTHS)
        universe, rest = Universe(), ib.rest()
        await universe.resolve(rest, "SI", 3, TODAY, ANY)
        begun = len(ib.asked)
        reading = asyncio.create_task(universe.read_on(rest))
        await asyncio.sleep(10)
        assert 8 <= len(ib.asked) - begun <= 11  # one a second
        reading.cancel()

    run(act())


NONSENSE = {
    "no month": httpx.Response(200, json={"exchange": "COMEX", "contract_month": None, "local_symbol": "Silver"}),
    "unknown": httpx.Response(404, json={"error": "no contract found"}),
    "no JSON": httpx.Response(200, text="<html>"),
    "no object": httpx.Response(200, json=[]),
    "a name too long": httpx.Response(200, json={"contract_month": "202702", "exchange": "X" * 40}),
}


@pytest.mark.parametrize("how", NONSENSE)
def test_an_unusable_contract_is_named_and_the_others_stream(how: str) -> None:
    ib = Ib()
    ib.lists(SI, *MONTHS)
    ib.spoilt[2] = NONSENSE[how]
    found = resolve(ib, 3)
    assert symbols(found) == ["SIF7", "SIH7", "SIJ7"]
    (told,) = found.unusable
    assert told.startswith("contract 2 of SI, which expires on 2027-02-20: ")


def test_an_unusable_contract_behind_the_front_months_is_no_matter() -> None:
    ib = Ib()
    ib.lists(SI, *MONTHS)
    ib.spoilt[5] = NONSENSE["no month"]
    assert resolve(ib, 3).unusable == ()
    assert len(resolve(ib, 4).unusable) == 0
    assert len(resolve(ib, 5).unusable) == 1


def test_an_unusable_contract_is_asked_for_again_next_time() -> None:
    ib, universe = Ib(), Universe()
    ib.lists(SI, *MONTHS)
    ib.spoilt[2] = NONSENSE["no month"]
    resolve(ib, 3, universe=universe)
    ib.spoilt.clear()
    assert symbols(resolve(ib, 3, universe=universe)) == ["SIF7", "SIG7", "SIH7"]


def test_a_root_without_any_usable_contract_is_a_bad_answer() -> None:
    ib = Ib()
    ib.lists(SI, *MONTHS[:2])
    ib.spoilt = dict.fromkeys(ib.rows, NONSENSE["no month"])
    with pytest.raises(AnswerError, match="contract 1 of SI"):
        resolve(ib, 3)


@pytest.mark.parametrize("response", [httpx.Response(503), httpx.Response(401), httpx.Response(429)])
def test_a_session_in_trouble_makes_no_contract_unusable(response: httpx.Response) -> None:
    ib = Ib()
    ib.lists(SI, *MONTHS)
    ib.spoilt[2] = response
    with pytest.raises(CannotAskError):
        resolve(ib, 3)


def test_a_root_that_ib_does_not_list() -> None:
    with pytest.raises(UnknownRootError):
        resolve(Ib(), 3)
