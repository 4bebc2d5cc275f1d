"""What operator and worker make of the venue's calendars, as its clock goes on from day to day."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from ibfeed_api.feed import Accounts, FeedSpec, Kafka, Root, SecretRef
from ibfeed_operator.controller.universe_resolver import AHEAD
from ibfeed_operator.model.types import Contract
from ibfeed_operator.planning.universe import Answer, merge, trading_day
from ibfeed_worker.session.client import SessionClient
from ibfeed_worker.universe.resolve import Universe
from support.inprocess_venue import Session, Start

MONTHS = 3
SPEC = FeedSpec(
    # CL is delivered; ES is settled in cash, on the day after IB's ltd; of the DAX it is one product of three.
    roots=(Root(symbol="CL"), Root(symbol="ES"), Root(symbol="DAX", trading_class="FDXM")),
    front_months=MONTHS,
    accounts=Accounts(secret_ref=SecretRef(name="paper"), count=1),
    kafka=Kafka(bootstrap_servers="kafka:9092"),
)
HOURS = (3, 12, 20, 21.99, 22.01)  # UTC


class AtVenue:
    """The worker's questions without a gateway."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, path: str, query: dict[str, str]) -> Any:
        await asyncio.sleep(0.12)  # the venue allows ten in a second
        status, found = await self._session.get(path, **query)
        assert status == 200
        return found


async def test_a_contract_stays_for_its_last_day_and_its_successor_is_there_for_the_next(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    rest, worker = cast("SessionClient", AtVenue(session)), Universe()
    known: dict[int, Contract] = {}
    answers: dict[str, Answer] = {}
    asked, rolls = "", 0
    for day in (
        date(2026, 12, 15) + timedelta(days=offset) for offset in range(10)
    ):  # CL ends on the 21st, ES and the DAX on the 18th
        for hour in HOURS:
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)
            stand.venue.set_clock(moment.timestamp())
            today = trading_day(moment)
            universe = merge(SPEC, known, answers, today=today)
            if known:
                assert not universe.problems
                rolls += sum(contract.conid not in known for contract in universe.contracts)
            known = {contract.conid: contract for contract in universe.contracts}
            if asked != today:  # as the operator asks: after it has rolled
                for root in SPEC.roots:
                    since = datetime.strptime(today, "%Y%m%d").replace(tzinfo=UTC).date()
                    resolved = await worker.resolve(rest, root.symbol, MONTHS + AHEAD, since, root.product)
                    answers[root.label] = Answer(
                        root=root.label,
                        months=MONTHS + AHEAD,
                        contracts=resolved.contracts,
                        products=resolved.products,
                    )
                asked = today
                universe = merge(SPEC, known, answers, today=today)
                assert not known or universe.contracts == tuple(known.values()), "the roll was right without asking"
                known = {contract.conid: contract for contract in universe.contracts}
            noon = datetime.strptime(today, "%Y%m%d").replace(hour=17, tzinfo=UTC)
            stand.venue.set_clock(noon.timestamp())
            trading = [
                one.conid
                for root in SPEC.roots
                for one in [
                    one
                    for one in stand.venue.exchange.listed(root.symbol)
                    if root.trading_class in (None, one.trading_class)
                ][:MONTHS]
            ]
            assert list(known) == trading, f"{moment}: {[contract.symbol for contract in known.values()]}"
    assert rolls == 3
