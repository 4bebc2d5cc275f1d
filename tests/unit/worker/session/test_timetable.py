"""Trading hours are asked for once for each product, of one of its contracts."""

from __future__ import annotations

import asyncio
import ssl

import httpx

from ibfeed_api.shard import Entry
from ibfeed_worker.gateway.pin import PinnedTls
from ibfeed_worker.runtime.metrics import Metrics
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.session.pacing import Budget
from ibfeed_worker.session.timetable import Timetable
from support import entries
from support.clock import run

BEGIN = 1_795_000_000


def entry(conid: int, trading_class: str, exchange: str = "CME") -> Entry:
    symbol = f"{trading_class}Z6"
    return entries.entry(conid, root="VIX", symbol=symbol, exchange=exchange, trading_class=trading_class, slot=conid)


def test_each_product_of_a_root_has_hours_of_its_own() -> None:
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        conid = int(request.url.params["conid"])
        asked.append(conid)
        hours = [{"opening": BEGIN + conid, "closing": BEGIN + conid + 3600}]
        return httpx.Response(200, json={"schedules": {"20261119": {"extended_hours": hours}}})

    entries = (entry(1, "VX"), entry(2, "VX"), entry(3, "VX48"), entry(4, "VX", "ICEUS"))

    async def act() -> None:
        tls = PinnedTls(ssl.create_default_context(), "")
        rest = SessionClient("https://127.0.0.1:5000", tls, Budget(), Metrics(), httpx.MockTransport(answer))
        timetable = Timetable()
        keeping = asyncio.create_task(timetable.keep(rest, lambda: entries))
        await asyncio.sleep(20)
        keeping.cancel()
        assert sorted(asked) == [2, 3, 4]  # the first two are one product
        opening = [timetable.hours(one).spans[0].opening - BEGIN for one in entries]
        assert opening == [2, 2, 3, 4]

    run(act())
