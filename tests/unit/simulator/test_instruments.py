"""REST calls about contracts and their market data."""

from __future__ import annotations

from datetime import UTC, datetime

from support.inprocess_venue import Start

ONE_DAY = {"at": "2026-11-20T15:00:00Z"}


async def test_futures_of_known_and_unknown_roots(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    _, found = await session.get("/trsrv/futures", symbols="CL,XX,NG")
    assert set(found) == {"CL", "NG"}
    assert set(found["CL"][0]) == {
        "symbol",
        "conid",
        "underlyingConid",
        "expirationDate",
        "ltd",
        "shortFuturesCutOff",
        "longFuturesCutOff",
    }
    assert all(isinstance(entry["expirationDate"], int) for entry in found["CL"])
    assert await session.get("/trsrv/futures", symbols="XX") == (200, {})


async def test_the_month_in_the_contract_s_information(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    async with stand.control.post("/control/clock", json=ONE_DAY) as answer:
        assert answer.status == 200
    _, information = await session.get(f"/iserver/contract/{await session.conid('CL')}/info")
    expected = {
        "local_symbol": "CLZ6",
        "contract_month": "202612",
        "maturity_date": "20261120",
        "symbol": "CL",
        "trading_class": "CL",
        "instrument_type": "FUT",
        "exchange": "NYMEX",
        "multiplier": "1000",
        "currency": "USD",
    }
    assert {key: information[key] for key in expected} == expected


async def test_each_contract_of_a_root_tells_its_product(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    await stand.control.post("/control/clock", json=ONE_DAY)
    _, found = await session.get("/trsrv/futures", symbols="SI,HHI.HK")
    nearest = found["SI"][:2] + found["HHI.HK"][:1]
    keys = ("symbol", "exchange", "trading_class", "multiplier", "currency", "contract_month", "maturity_date")
    told = [(await session.get(f"/iserver/contract/{row['conid']}/info"))[1] for row in nearest]
    assert [tuple(information[key] for key in keys) for information in told] == [
        ("SI", "COMEX", "SI", "5000", "USD", "202612", "20261229"),
        ("SI", "COMEX", "SIL", "1000", "USD", "202612", "20261229"),
        ("HHI.HK", "HKFE", "HHI", "50", "HKD", "202611", "20261127"),
    ]


async def test_rules_tell_the_price_increment(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    conid = await session.conid("SI")
    _, found = await session.get(f"/iserver/contract/{conid}/info-and-rules")
    assert (found["con_id"], found["rules"]["increment"], found["rules"]["incrementDigits"]) == (conid, 0.005, 3)
    assert (await session.get("/iserver/contract/1/info-and-rules"))[0] == 404


async def test_a_contract_whose_month_is_not_told(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    first, second = await session.conid("CL"), await session.conid("CL", 1)
    await stand.fault("no_month", value=first)
    assert (await session.get(f"/iserver/contract/{first}/info"))[1]["contract_month"] is None
    assert (await session.get(f"/iserver/contract/{second}/info"))[1]["contract_month"]


async def test_months_roll_with_the_venue_s_clock(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.control.post("/control/clock", json=ONE_DAY)
    before = await session.conid("CL", 1)
    await stand.control.post("/control/clock", json={"advance_seconds": 86_400})
    assert await session.conid("CL") == before
    await stand.control.post("/control/clock", json={})
    assert abs(stand.venue.clock.now() - datetime.now(UTC).timestamp()) < 1


async def test_faults_of_the_universe(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.fault("fewer_contracts", value=2)
    _, found = await session.get("/trsrv/futures", symbols="CL")
    assert len(found["CL"]) == 2
    await stand.fault("unknown_roots")
    assert (await session.get("/trsrv/futures", symbols="CL"))[1] == {}


async def test_the_first_snapshot_is_a_preflight(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    conid = str(await session.conid())
    query = {"conids": conid, "fields": "31,84,85,7059,83"}
    assert (await session.get("/iserver/marketdata/snapshot", **query))[0] == 500  # accounts were not asked for
    await session.get("/iserver/accounts")
    assert (await session.get("/iserver/marketdata/snapshot", **query))[1] == [{"conid": int(conid), "conidEx": conid}]
    _, (quote,) = await session.get("/iserver/marketdata/snapshot", **query)
    assert {"31", "84", "85", "7059", "6509", "_updated", "server_id"} <= set(quote)
    assert quote["83"].endswith("%")
    assert await session.get("/iserver/marketdata/snapshot") == (
        400,
        {"error": "Bad Request: Conid(s) missing", "statusCode": 400},
    )


async def test_search_then_definition(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    _, (found,) = await session.get("/iserver/secdef/search", symbol="CL")
    months = next(section["months"] for section in found["sections"] if section["secType"] == "FUT").split(";")
    _, (definition,) = await session.get("/iserver/secdef/info", conid=found["conid"], sectype="FUT", month=months[0])
    assert definition["conid"] == await session.conid("CL")


async def test_history_has_the_bars_that_were_asked_for(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    _, answer = await session.get(
        "/iserver/marketdata/history", conid=str(await session.conid()), period="1h", bar="5min"
    )
    assert (len(answer["data"]), answer["points"], answer["barLength"]) == (12, 11, 300)


CLOSED = {"openingTime": "0000", "closingTime": "0000", "cancelDayOrders": "N"}  # as recorded of NASDAQ


async def test_schedules_say_when_the_market_is_open(start: Start) -> None:
    session = await (await start(hours="exchange")).log_in()
    _, (schedule,) = await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="CL")
    days = {entry["tradingScheduleDate"]: entry["tradingtimes"] for entry in schedule["schedules"]}
    assert days["20000101"] == days["20000102"] == [CLOSED]
    assert days["20000103"] == [{"openingTime": "1800", "closingTime": "1700", "cancelDayOrders": "Y"}]
    _, coming = await session.get("/contract/trading-schedule", conid=str(await session.conid()))
    for day in coming["schedules"].values():
        for hours in day["liquid_hours"]:
            assert hours["closing"] - hours["opening"] == 23 * 3600


async def test_a_night_in_hong_kong_counts_to_the_next_trading_day(start: Start) -> None:
    stand = await start(hours="exchange")
    session = await stand.log_in()
    await stand.control.post("/control/clock", json={"at": "2026-11-20T04:00:00Z"})
    _, (schedule,) = await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="HSI")
    days = {entry["tradingScheduleDate"]: entry["tradingtimes"] for entry in schedule["schedules"]}
    spans = [(times["openingTime"], times["closingTime"]) for times in days["20000103"]]
    assert spans == [("1715", "0300"), ("0915", "1200"), ("1300", "1630")]
    assert days["20000101"] == [CLOSED]
    _, coming = await session.get("/contract/trading-schedule", conid=str(await session.conid("HSI")))
    monday = coming["schedules"]["20261123"]["liquid_hours"][0]  # begins on Friday, 17:15 in Hong Kong
    assert monday == {"opening": 1795166100, "closing": 1795201200}


async def test_a_holiday_overrides_its_weekday(start: Start) -> None:
    stand = await start(hours="exchange")
    session = await stand.log_in()
    await stand.control.post("/control/clock", json={"at": "2026-11-24T15:00:00Z"})  # Thanksgiving is on the 26th
    _, (schedule,) = await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="CL")
    dated = {entry["tradingScheduleDate"]: entry["tradingtimes"] for entry in schedule["schedules"][7:]}
    assert dated == {"20261126": [CLOSED]}
    _, coming = await session.get("/contract/trading-schedule", conid=str(await session.conid()))
    assert "20261126" not in coming["schedules"]
    assert "20261127" in coming["schedules"]


async def test_schedules_can_be_refused(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.fault("no_schedule", value="contract")
    conid = str(await session.conid())
    assert (await session.get("/contract/trading-schedule", conid=conid))[0] == 500
    assert (await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="CL"))[0] == 200
    await stand.fault("no_schedule")
    assert (await session.get("/trsrv/secdef/schedule", assetClass="FUT", symbol="CL"))[0] == 500


async def test_unsubscribe_by_rest(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    assert await session.post("/iserver/marketdata/unsubscribe", {"conid": conid}) == (500, {"error": "unknown"})
    await socket.subscribe(conid)
    assert await session.post("/iserver/marketdata/unsubscribe", {"conid": conid}) == (200, {"success": True})
    await socket.subscribe(conid)
    assert (await session.get("/iserver/marketdata/unsubscribeall"))[1] == {"unsubscribed": True}
