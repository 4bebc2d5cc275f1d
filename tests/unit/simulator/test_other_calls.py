"""Watchlists, scanners, notices and model portfolios."""

from __future__ import annotations

from support.inprocess_venue import Session, Start


async def opened(start: Start) -> Session:
    return await (await (await start()).log_in()).open()


async def test_a_watchlist_is_kept_for_its_user(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    rows = [{"C": conid}, {"H": ""}, {"C": 265598}, {"C": 1}]
    _, made = await session.post("/iserver/watchlist", {"id": "7", "name": "front", "rows": rows})
    assert (made["id"], made["name"], made["instruments"]) == ("7", "front", [])
    _, found = await session.get("/iserver/watchlist", id="7")
    assert [entry.get("assetClass", "") for entry in found["instruments"]] == ["FUT", "", "STK"]
    _, lists = await session.get("/iserver/watchlists", SC="USER_WATCHLIST")
    assert [(entry["id"], entry["type"]) for entry in lists["data"]["user_lists"]] == [("7", "watchlist")]
    other = await (await stand.log_in("paper2")).open()
    assert (await other.get("/iserver/watchlists"))[1]["data"]["user_lists"] == []


async def test_a_watchlist_is_deleted_by_query_or_body(start: Start) -> None:
    session = await opened(start)
    deleted = {"data": {"deleted": "7"}, "action": "context", "MID": "2"}
    for path, body in (("/iserver/watchlist?id=7", None), ("/iserver/watchlist", {"id": "7"})):
        await session.post("/iserver/watchlist", {"id": "7", "name": "front", "rows": []})
        assert await session.call("DELETE", path, body) == (200, deleted)
        assert (await session.get("/iserver/watchlists"))[1]["data"]["user_lists"] == []
    assert (await session.post("/iserver/watchlist", {"id": "seven", "name": "front", "rows": []}))[0] == 400


async def test_a_scanner_finds_shares_that_can_be_asked_for(start: Start) -> None:
    session = await opened(start)
    _, parameters = await session.get("/iserver/scanner/params")
    code = parameters["scan_type_list"][0]["code"]
    asked = {"instrument": "STK", "type": code, "location": "STK.US.MAJOR", "filter": []}
    _, found = await session.post("/iserver/scanner/run", asked)
    conid = str(found["contracts"][0]["con_id"])
    assert (await session.get(f"/iserver/contract/{conid}/info"))[0] == 200
    assert (await session.post("/iserver/scanner/run", asked | {"type": "NONE"}))[0] == 400
    assert (await session.post("/hmds/scanner", {"scanCode": code}))[0] == 404
    _, farm = await session.post("/hmds/scanner", {"scanCode": code})
    assert farm["Contracts"]["Contract"][0]["contractID"] == conid


async def test_notices_can_be_switched_off(start: Start) -> None:
    session = await opened(start)
    assert await session.get("/fyi/unreadnumber") == (200, {"BN": 0})
    assert await session.get("/fyi/notifications") == (200, [])
    assert (await session.post("/fyi/settings/BA", {"enabled": False}))[1]["V"] == 1
    _, settings = await session.get("/fyi/settings")
    assert {entry["FC"]: entry["A"] for entry in settings}["BA"] == 0
    assert set(settings[0]) == {"FC", "H", "A", "FD", "FN"}
    assert (await session.post("/fyi/settings/none"))[0] == 200
    assert (await session.get("/fyi/disclaimer/BA"))[1]["FC"] == "BA"
    assert (await session.call("PUT", "/fyi/notifications/1"))[1]["P"] == {"R": 1, "ID": "1"}


async def test_devices_come_and_go(start: Start) -> None:
    session = await opened(start)
    device = {"deviceName": "phone", "deviceId": "d1", "uiName": "phone", "enabled": True}
    await session.post("/fyi/deliveryoptions/device", device)
    _, options = await session.get("/fyi/deliveryoptions")
    assert options == {"E": [{"NM": "phone", "I": "d1", "UI": "phone", "A": 1}], "M": 1}
    assert await session.call("DELETE", "/fyi/deliveryoptions/d1") == (200, "")
    status, page = await session.call("DELETE", "/fyi/deliveryoptions/d1")
    assert (status, "<html>" in page) == (404, True)


async def test_models_are_empty_and_move_no_money(start: Start) -> None:
    session = await opened(start)
    _, models = await session.post("/fa/model/list", {"reqID": 7})
    assert (models["models"], models["reqID"]) == ([], 7)
    _, ghost = await session.post("/fa/model/positions", {"reqID": 8, "model": "any"})
    assert (ghost["model"], ghost["positionList"], ghost["nlv"]) == ("any", [], 0.0)
    for path in ("summary", "accounts-details", "invest-divest-positions"):
        assert (await session.post(f"/fa/model/{path}", {"reqID": 9, "model": "any"}))[1]["model"] == "any"
    assert (await session.post("/fa/model/invest-divest", {"reqID": 10}))[0] == 500
    assert (await session.post("/fa/model/submit-transfers", {"reqID": 11, "fpOrderId": -1}))[0] == 500
    assert (await session.post("/fa/model/save", {"reqID": 12, "model": "any"}))[0] == 400


async def test_presets_of_models_are_kept(start: Start) -> None:
    session = await opened(start)
    await session.post("/fa/fa-preset/save", {"reqID": 1, "keepModelOpen": True})
    _, presets = await session.post("/fa/fa-preset/get", {"reqID": 2})
    assert (presets["reqID"], presets["keepModelOpen"], presets["closeDivestCorePosition"]) == (2, True, True)
