"""Definitions, rules, algorithms and currencies. The names are those of recorded answers."""

from __future__ import annotations

import pytest

from ibfeed_simulator.venue import currencies
from support.inprocess_venue import Session, Start

AAPL = 265598
# Of each entry in the recording of /trsrv/secdef.
DEFINITION = {
    "conid", "currency", "name", "assetClass", "expiry", "lastTradingDay", "group", "putOrCall", "sector",
    "sectorGroup", "strike", "ticker", "undConid", "multiplier", "type", "hasOptions", "fullName", "isUS",
    "isEventContract", "listingExchange", "countryCode", "incrementRules", "displayRule",
}  # fmt: skip
# Of the recording of /iserver/contract/rules.
RULES = {
    "algoEligible", "allOrNoneEligible", "costReport", "canTradeAcctIds", "error", "orderTypes", "defaultSize",
    "cashSize", "sizeIncrement", "cashCcy", "limitPrice", "stopprice", "increment", "incrementDigits",
    "hasSecondary", "negativeCapable",
}  # fmt: skip


async def opened(start: Start) -> Session:
    return await (await (await start()).log_in()).open()


async def test_definitions_of_a_future_and_a_stock(start: Start) -> None:
    session = await opened(start)
    conid = await session.conid("CL")
    _, answer = await session.get("/trsrv/secdef", conids=f"{conid},{AAPL},1")
    future, stock = answer["secdef"]
    assert set(future) >= DEFINITION <= set(stock)
    assert (future["conid"], future["assetClass"], future["multiplier"]) == (conid, "FUT", 1000.0)
    assert future["incrementRules"] == [{"lowerEdge": 0.0, "increment": 0.01}]
    assert (stock["ticker"], stock["assetClass"], stock["lastTradingDay"]) == ("AAPL", "STK", None)
    assert await session.post("/trsrv/secdef", {"conids": [conid, AAPL]}) == (200, answer)


async def test_a_german_future_is_in_euros(start: Start) -> None:
    session = await opened(start)
    conid = await session.conid("DAX")
    _, answer = await session.get("/trsrv/secdef", conids=str(conid))
    definition = answer["secdef"][0]
    assert (definition["currency"], definition["countryCode"], definition["isUS"]) == ("EUR", "DE", False)
    _, rules = await session.post("/iserver/contract/rules", {"conid": conid})
    assert rules["cashCcy"] == "EUR"


async def test_at_most_200_definitions_at_once(start: Start) -> None:
    session = await opened(start)
    for many, status in ((200, 200), (201, 400)):
        conids = [AAPL] * many
        assert (await session.get("/trsrv/secdef", conids=",".join(map(str, conids))))[0] == status
        assert (await session.post("/trsrv/secdef", {"conids": conids}))[0] == status
    missing = {"error": "Bad Request: Conid(s) missing", "statusCode": 400}
    assert await session.get("/trsrv/secdef") == (400, missing)


async def test_conids_of_an_exchange_are_stocks(start: Start) -> None:
    session = await opened(start)
    _, found = await session.get("/trsrv/all-conids", exchange="NASDAQ")
    assert {"ticker": "AAPL", "conid": AAPL, "exchange": "NASDAQ"} in found
    assert await session.get("/trsrv/all-conids", exchange="NYMEX") == (200, [])
    assert (await session.get("/trsrv/all-conids"))[0] == 400


@pytest.mark.parametrize(("root", "increment", "digits"), [("CL", 0.01, 2), ("ES", 0.25, 2), ("6J", 0.0000005, 7)])
async def test_rules_have_the_price_increment(start: Start, root: str, increment: float, digits: int) -> None:
    session = await opened(start)
    conid = await session.conid(root)
    _, rules = await session.post("/iserver/contract/rules", {"conid": conid, "isBuy": True})
    assert set(rules) >= RULES
    assert (rules["increment"], rules["incrementDigits"], rules["error"]) == (increment, digits, None)
    _, whole = await session.get(f"/iserver/contract/{conid}/info-and-rules", isBuy="true")
    _, information = await session.get(f"/iserver/contract/{conid}/info")
    assert whole == {**information, "rules": rules}


async def test_an_unknown_contract_has_no_rules(start: Start) -> None:
    session = await opened(start)
    assert await session.post("/iserver/contract/rules", {"conid": 1}) == (200, {"error": "No contract found"})
    assert (await session.get("/iserver/contract/1/info-and-rules"))[0] == 404
    assert (await session.get("/iserver/contract/1/algos"))[0] == 503


async def test_algorithms_tell_what_is_asked_for(start: Start) -> None:
    session = await opened(start)
    path = f"/iserver/contract/{AAPL}/algos"
    _, brief = await session.get(path)
    assert [set(algorithm) for algorithm in brief["algos"]] == [{"name", "id"}] * 3
    _, (full,) = (await session.get(path, algos="Adaptive", addDescription="1", addParams="1"))[1].popitem()
    assert (full["id"], full["parameters"][0]["id"]) == ("Adaptive", "adaptivePriority")
    assert set(full) == {"name", "id", "description", "parameters"}


async def test_there_are_no_options_and_no_bonds(start: Start) -> None:
    session = await opened(start)
    strikes = {"conid": str(AAPL), "sectype": "OPT", "month": "DEC26"}
    assert await session.get("/iserver/secdef/strikes", **strikes) == (200, {"call": [], "put": []})
    assert (await session.get("/iserver/secdef/strikes", conid=str(AAPL)))[0] == 400
    assert await session.get("/iserver/secdef/bond-filters") == (200, {"bondFilters": []})


async def test_currency_pairs_and_rates(start: Start) -> None:
    session = await opened(start)
    _, pairs = await session.get("/iserver/currency/pairs", currency="EUR")
    assert pairs == {"EUR": [{"symbol": "EUR.USD", "conid": 12087792, "ccyPair": "USD"}]}
    _, there = await session.get("/iserver/exchangerate", source="EUR", target="JPY")
    _, back = await session.get("/iserver/exchangerate", source="JPY", target="EUR")
    assert there["rate"] * back["rate"] == pytest.approx(1, rel=1e-4)
    assert (await session.get("/iserver/exchangerate", source="EUR", target="XXX"))[0] == 400
    assert (await session.get("/iserver/currency/pairs", currency="XXX"))[0] == 400


def test_a_rate_goes_by_way_of_the_dollar() -> None:
    assert currencies.rate("EUR", "USD") == 1.095
    assert currencies.rate("USD", "USD") == 1
    assert currencies.rate("USD", "JPY") == pytest.approx(147.2)


async def test_a_stock_is_found_by_its_name_and_its_conid(start: Start) -> None:
    session = await opened(start)
    _, found = await session.get("/iserver/secdef/search", symbol="AAPL")
    assert [(entry["conid"], entry["description"]) for entry in found] == [("265598", "NASDAQ"), ("38708077", "MEXI")]
    _, information = await session.get("/iserver/contract/265598/info")
    assert (information["instrument_type"], information["symbol"], information["contract_month"]) == (
        "STK",
        "AAPL",
        None,
    )
    assert (await session.get("/iserver/secdef/search", symbol="NOTICKER"))[0] == 400


async def test_a_definition_by_the_future_s_own_conid(start: Start) -> None:
    session = await opened(start)
    conid = await session.conid("NG", 2)
    _, (definition,) = await session.get("/iserver/secdef/info", conid=str(conid), sectype="FUT")
    assert (definition["conid"], definition["secType"]) == (conid, "FUT")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/iserver/contract/rules"),
        ("GET", "/iserver/contract/265598/algos"),
        ("GET", "/iserver/contract/265598/info-and-rules"),
        ("GET", "/iserver/secdef/strikes"),
        ("GET", "/iserver/currency/pairs"),
        ("GET", "/iserver/marketdata/history"),
        ("GET", "/iserver/account/orders"),
        ("POST", "/iserver/account"),
        ("GET", "/iserver/watchlists"),
        ("GET", "/iserver/scanner/params"),
    ],
)
async def test_iserver_calls_need_a_brokerage_session(start: Start, method: str, path: str) -> None:
    session = await (await start()).log_in()
    no_bridge = {"error": "Bad Request: no bridge", "statusCode": 400}
    assert await session.call(method, path, {}) == (400, no_bridge)
