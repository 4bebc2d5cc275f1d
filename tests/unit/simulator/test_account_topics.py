"""Websocket topics about the account, in the forms that were seen at IB."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ibfeed_simulator.venue import streamer
from support.inprocess_venue import Session, Socket, Start


async def opened(start: Start) -> tuple[Session, Socket, str]:
    session = await (await (await start()).log_in()).open()
    _, accounts = await session.get("/iserver/accounts")
    return session, await session.socket(), accounts["selectedAccount"]


async def test_profit_trades_and_silence_about_orders(start: Start) -> None:
    _, socket, account = await opened(start)
    await socket.send("spl+{}")
    profit = await socket.frame()
    assert (profit["topic"], set(profit["args"])) == ("spl", {f"{account}.Core"})
    await socket.send('str+{"realtimeUpdatesOnly":false,"days":1}')
    assert await socket.frame() == {"topic": "str", "args": []}
    await socket.send("sor+{}")
    assert await socket.silent(0.3)


async def test_the_summary_names_the_account(start: Start) -> None:
    _, socket, account = await opened(start)
    await socket.send(f"ssd+{account}+{{}}")
    frame = await socket.frame()
    rows = {row["key"]: row for row in frame["result"]}
    assert frame["topic"] == f"ssd+{account}"
    assert rows["AccountCode"]["value"] == account
    assert set(rows["ExcessLiquidity-S"]) == {"key", "currency", "monetaryValue", "severity", "timestamp"}
    await socket.send(f"usd+{account}")
    assert await socket.frame() == {"result": "unsubscribed from summary"}


async def test_only_what_was_asked_for_of_the_summary(start: Start) -> None:
    _, socket, account = await opened(start)
    asked = {"keys": ["NetLiquidation"], "fields": ["monetaryValue"]}
    await socket.send(f"ssd+{account}+{json.dumps(asked)}")
    (row,) = (await socket.frame())["result"]
    assert (row["key"], set(row)) == ("NetLiquidation", {"key", "monetaryValue", "timestamp"})


async def test_the_ledger_is_told_again_without_values(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer, "HEARTBEAT", 0.1)
    _, socket, account = await opened(start)
    await socket.send(f"sld+{account}+{{}}")
    whole: dict[str, Any] = await socket.until(f"sld+{account}")
    assert {row["key"]: row["acctCode"] for row in whole["result"]} == {
        "LedgerListBASE": account,
        "LedgerListUSD": account,
    }
    later = await socket.until(f"sld+{account}")
    assert [set(row) for row in later["result"]] == [{"key", "timestamp"}] * 2
    await socket.send(f"uld+{account}")
    while (frame := await socket.frame()) != {"result": "unsubscribed from ledger"}:
        assert frame["topic"] in ("system", f"sld+{account}")
    assert (await socket.frame())["topic"] == (await socket.frame())["topic"] == "system"


@pytest.mark.parametrize("command", ["ssd+DU1+{}", "sld+DU1+{}", "ssd+{}"])
async def test_another_account_s_topic_is_refused(start: Start, command: str) -> None:
    _, socket, _ = await opened(start)
    await socket.send(command)
    assert (await socket.frame())["error"].startswith("Bad Request")


async def test_account_topics_need_no_brokerage_but_trades_do(start: Start) -> None:
    session = await (await start()).log_in()
    socket = await session.socket()
    await socket.send("spl+{}")
    assert (await socket.frame())["topic"] == "spl"
    await socket.send("str+{}")
    assert (await socket.frame())["error"] == "Bad Request: no bridge"


async def test_past_prices_come_once_with_bars(start: Start) -> None:
    session, socket, _ = await opened(start)
    conid = await session.conid()
    await socket.send(f'smh+{conid}+{{"period":"1h","bar":"5min"}}')
    frame = await socket.until(f"smh+{conid}")
    assert (len(frame["data"]), frame["points"], frame["barLength"]) == (12, 11, 300)
    await socket.send(f"umh+{frame['serverId']}")
    assert await socket.frame() == {"message": f"Unsubscribed {frame['serverId']}"}
    await socket.send(f'smh+{conid}+{{"period":"1parsec"}}')
    assert "1parsec" in (await socket.frame())["error"]


async def test_a_stock_streams_as_a_future_does(start: Start) -> None:
    _, socket, _ = await opened(start)
    first = await socket.subscribe(265598, "31", "84", "86")
    assert first["_updated"] < (await socket.until("smd+265598"))["_updated"]
