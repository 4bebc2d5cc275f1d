"""What is told of an account that has cash and never trades. The names are those of recorded answers."""

from __future__ import annotations

import pytest

from support.inprocess_venue import Session, Start

CASH = 1_000_000.0
# Of the recording of /portfolio/{account}/ledger.
LEDGER = {
    "commoditymarketvalue", "futuremarketvalue", "settledcash", "exchangerate", "sessionid", "cashbalance",
    "corporatebondsmarketvalue", "warrantsmarketvalue", "netliquidationvalue", "interest", "unrealizedpnl",
    "stockmarketvalue", "moneyfunds", "currency", "realizedpnl", "funds", "acctcode", "issueroptionsmarketvalue",
    "key", "timestamp", "severity", "stockoptionmarketvalue", "futuresonlypnl", "tbondsmarketvalue",
    "futureoptionmarketvalue", "cashbalancefxsegment", "secondkey", "tbillsmarketvalue", "endofbundle", "dividends",
    "cryptocurrencyvalue",
}  # fmt: skip


async def opened(start: Start) -> tuple[Session, str]:
    session = await (await (await start()).log_in()).open()
    _, accounts = await session.get("/iserver/accounts")
    return session, accounts["selectedAccount"]


async def test_the_ledger_is_whole(start: Start) -> None:
    session, account = await opened(start)
    _, ledger = await session.get(f"/portfolio/{account}/ledger")
    assert set(ledger) == {"USD", "BASE"}
    assert set(ledger["USD"]) == LEDGER
    assert (ledger["USD"]["cashbalance"], ledger["BASE"]["secondkey"]) == (CASH, "BASE")


async def test_the_same_account_in_each_list(start: Start) -> None:
    session, account = await opened(start)
    _, (listed,) = await session.get("/portfolio/accounts")
    assert (listed["accountId"], listed["type"]) == (account, "DEMO")
    assert await session.get("/portfolio/subaccounts") == (200, [listed])
    assert await session.get(f"/portfolio/{account}/meta") == (200, listed)
    _, page = await session.get("/portfolio/subaccounts2", page="0")
    assert page == {"metadata": {"total": 1, "pageSize": 20, "pageNum": 0}, "subaccounts": [listed]}
    assert (await session.get("/portfolio/subaccounts2", page="1"))[1]["subaccounts"] == []


async def test_the_summary_in_its_two_forms(start: Start) -> None:
    session, account = await opened(start)
    _, portfolio = await session.get(f"/portfolio/{account}/summary")
    assert all(
        set(row) == {"amount", "currency", "isNull", "timestamp", "value", "severity"} for row in portfolio.values()
    )
    assert portfolio["accountcode"]["value"] == account
    assert {"netliquidation", "netliquidation-s", "netliquidation-c", "buyingpower"} <= set(portfolio)
    _, brokerage = await session.get(f"/iserver/account/{account}/summary")
    assert brokerage["netLiquidationValue"] == portfolio["netliquidation"]["amount"] == CASH
    assert brokerage["cashBalances"] == [{"currency": "USD", "balance": CASH, "settledCash": CASH}]


@pytest.mark.parametrize(
    ("kind", "part", "name", "text"),
    [
        ("available_funds", "total", "current_available", "1,000,000 USD"),
        ("balances", "commodities", "cash", "0 USD"),
        ("margins", "securities", "current_initial", "0 USD"),
        ("market_value", "USD", "total_cash", "1,000,000"),
    ],
)
async def test_the_summary_s_details_are_texts(start: Start, kind: str, part: str, name: str, text: str) -> None:
    session, account = await opened(start)
    _, details = await session.get(f"/iserver/account/{account}/summary/{kind}")
    assert details[part][name] == text


async def test_there_are_no_positions_orders_and_trades(start: Start) -> None:
    session, account = await opened(start)
    for path in ("positions/0", "position/265598", "combo/positions"):
        assert await session.get(f"/portfolio/{account}/{path}") == (200, [])
    assert await session.get(f"/portfolio2/{account}/positions") == (200, [])
    assert await session.get("/portfolio/positions/265598") == (200, {account: []})
    invalidated = await session.post(f"/portfolio/{account}/positions/invalidate")
    assert invalidated == (200, {"message": "success"})
    assert await session.get("/iserver/account/orders") == (200, {"orders": [], "snapshot": False})
    for path in ("/iserver/account/trades", "/iserver/account/trades/"):
        assert await session.get(path) == (200, [])
    assert await session.get(f"/iserver/account/{account}/alerts") == (200, [])


async def test_cash_is_all_there_is_to_allocate(start: Start) -> None:
    session, account = await opened(start)
    _, own = await session.get(f"/portfolio/{account}/allocation")
    assert own["assetClass"] == {"long": {"CASH": CASH}, "short": {}}
    assert await session.post("/portfolio/allocation", {"acctIds": [account]}) == (200, own)


async def test_no_order_is_taken(start: Start) -> None:
    session, account = await opened(start)
    status, placed = await session.post(f"/iserver/account/{account}/orders", {"orders": [{"conid": 265598}]})
    assert (status, set(placed)) == (200, {"error"})
    _, preview = await session.post(f"/iserver/account/{account}/orders/whatif", {"orders": [{"conid": 265598}]})
    assert set(preview) == {"amount", "equity", "initial", "maintenance", "position", "warn", "error"}
    unknown = (200, {"error": "OrderID 7 doesn't exist"})
    for method in ("POST", "DELETE"):
        assert await session.call(method, f"/iserver/account/{account}/order/7", {}) == unknown
    assert (await session.get("/iserver/account/order/status/7"))[0] == 503
    assert "error" in (await session.post("/iserver/reply/7", {"confirmed": True}))[1]
    assert await session.get("/iserver/account/orders") == (200, {"orders": [], "snapshot": False})


async def test_at_most_51_messages_are_suppressed(start: Start) -> None:
    session, _ = await opened(start)
    for many, status in ((51, 200), (52, 500)):
        assert (await session.post("/iserver/questions/suppress", {"messageIds": ["o163"] * many}))[0] == status
    assert await session.post("/iserver/questions/suppress/reset") == (200, {"status": "submitted"})


async def test_the_one_account_is_selected_already(start: Start) -> None:
    session, account = await opened(start)
    assert await session.post("/iserver/account", {"acctId": account}) == (200, {"success": "Account already set"})
    assert (await session.post("/iserver/account", {"acctId": "DU1"}))[0] == 500
    assert (await session.post("/iserver/account"))[0] == 400


async def test_only_brokers_search_for_accounts(start: Start) -> None:
    session, account = await opened(start)
    assert (await session.get("/iserver/account/search/DU"))[0] == 503
    assert await session.post("/iserver/dynaccount", {"acctId": account}) == (401, "")


async def test_another_account_is_unknown(start: Start) -> None:
    session, _ = await opened(start)
    for path in ("/portfolio/DU1/ledger", "/portfolio/DU1/positions/0", "/iserver/account/DU1/summary"):
        assert (await session.get(path))[0] == 400


async def test_nothing_was_won_or_lost(start: Start) -> None:
    session, account = await opened(start)
    _, profit = await session.get("/iserver/account/pnl/partitioned")
    row = profit["upnl"][f"{account}.Core"]
    assert (row["rowType"], row["dpl"], row["nl"]) == (1, 0.0, CASH)
    _, performance = await session.post("/pa/performance", {"acctIds": [account], "period": "7D"})
    assert performance["nav"]["data"][0]["navs"] == [CASH] * 7
    assert performance["cps"]["data"][0]["returns"] == [0.0] * 7
    assert len(performance["cps"]["dates"]) == performance["nd"] == 7
    _, everything = await session.post("/pa/allperiods", {"acctIds": [account]})
    assert everything[account]["1D"]["nav"] == [CASH]
    assert set(everything[account]["periods"]) <= set(everything[account])
    _, history = await session.post("/pa/transactions", {"acctIds": [account], "conids": [265598], "days": 30})
    assert (history["transactions"], history["nd"], history["to"] - history["from"]) == ([], 30, 30 * 86_400_000)
    assert (await session.post("/pa/performance", {"acctIds": [account], "period": "9Z"}))[0] == 400


async def test_who_owns_the_account(start: Start) -> None:
    session, account = await opened(start)
    _, owners = await session.get(f"/acesws/{account}/signatures-and-owners")
    assert (owners["accountId"], owners["users"][0]["userName"]) == (account, "paper1")
