"""Past prices and single quotes, of futures and of stocks."""

from __future__ import annotations

import pytest

from ibfeed_simulator.venue.bars import SpanError, line, seconds
from support.inprocess_venue import Session, Start

AAPL = "265598"
# Of the recording of /iserver/marketdata/history.
HISTORY = {
    "serverId", "symbol", "text", "priceFactor", "startTime", "high", "low", "timePeriod", "barLength",
    "mdAvailability", "mktDataDelay", "outsideRth", "tradingDayDuration", "volumeFactor", "priceDisplayRule",
    "priceDisplayValue", "negativeCapable", "messageVersion", "data",
}  # fmt: skip


async def opened(start: Start) -> Session:
    return await (await (await start()).log_in()).open()


@pytest.mark.parametrize(
    ("text", "expected"), [("5min", 300), ("1h", 3600), ("2w", 1_209_600), ("30secs", 30), ("5mins", 300), ("60S", 60)]
)
def test_periods_and_bars_in_both_spellings(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "min", "0min", "-1d", "5parsec", "1.5h"])
def test_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(SpanError):
        seconds(text)


def test_a_line_has_at_most_a_thousand_bars() -> None:
    assert len(line(1.0, 86_400 * 365, 60, 1_800_000_000.0)) == 1000
    assert [bar["t"] for bar in line(1.0, 3600, 1800, 1_800_000_900.0)] == [1_799_998_200_000, 1_800_000_000_000]


@pytest.mark.parametrize("ticker", ["AAPL", "QQQQ"])
async def test_a_stock_has_bars_at_a_made_up_price(start: Start, ticker: str) -> None:
    session = await opened(start)
    _, found = await session.get("/trsrv/stocks", symbols=ticker)
    conid = str(found[ticker][0]["contracts"][0]["conid"])
    status, answer = await session.get("/iserver/marketdata/history", conid=conid, period="1w", bar="1d")
    assert (status, answer["symbol"], len(answer["data"])) == (200, ticker, 7)
    assert set(answer) >= HISTORY
    assert answer["data"][0]["c"] > 0


async def test_a_stock_has_a_snapshot(start: Start) -> None:
    session = await opened(start)
    await session.get("/iserver/accounts")
    query = {"conids": AAPL, "fields": "31,55,84,86,7697"}
    assert (await session.get("/iserver/marketdata/snapshot", **query))[1] == [{"conid": 265598, "conidEx": AAPL}]
    _, (quote,) = await session.get("/iserver/marketdata/snapshot", **query)
    assert (quote["55"], quote["6509"]) == ("AAPL", "RpB")
    assert {"31", "84", "86"} <= set(quote)
    assert "7697" not in quote  # open interest is a future's


async def test_a_snapshot_is_a_feed_that_can_be_ended(start: Start) -> None:
    session = await opened(start)
    await session.get("/iserver/accounts")
    await session.get("/iserver/marketdata/snapshot", conids=AAPL, fields="31")
    ended = await session.post("/iserver/marketdata/unsubscribe", {"conid": int(AAPL)})
    assert ended == (200, {"success": True})
    ended = await session.post("/iserver/marketdata/unsubscribe", {"conid": int(AAPL)})
    assert ended == (500, {"error": "unknown"})


async def test_the_data_farm_answers_from_the_second_call_on(start: Start) -> None:
    session = await opened(start)
    query = {"conid": AAPL, "period": "1d", "bar": "1hrs"}
    assert (await session.get("/hmds/history", **query))[0] == 404
    _, answer = await session.get("/hmds/history", **query)
    assert (len(answer["data"]), answer["points"]) == (24, 23)
    assert answer["endTimeVal"] - answer["startTimeVal"] == 23 * 3_600_000
    assert (await session.get("/hmds/history", **query | {"bar": "1parsec"}))[0] == 400


async def test_hmds_init_opens_the_way_to_the_data_farm(start: Start) -> None:
    session = await opened(start)
    assert (await session.post("/hmds/auth/init"))[0] == 200
    assert (await session.get("/hmds/scanner/params"))[0] == 200


async def test_a_regulatory_snapshot_has_numbers(start: Start) -> None:
    session = await opened(start)
    _, quote = await session.get("/md/regsnapshot", conid=AAPL)
    assert (quote["conid"], quote["HasDelayed"], quote["7058"]) == (265598, False, "Q")
    assert quote["84"] < quote["86"]
    assert isinstance(quote["85"], int)


async def test_an_unknown_contract_has_no_past(start: Start) -> None:
    session = await opened(start)
    assert (await session.get("/iserver/marketdata/history", conid="1", period="1d", bar="1h"))[0] == 400
    assert (await session.get("/md/regsnapshot", conid="1"))[0] == 400
