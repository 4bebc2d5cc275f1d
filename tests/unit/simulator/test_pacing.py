from __future__ import annotations

from types import SimpleNamespace

import pytest

from ibfeed_simulator.venue.pacing import Pacing
from support.inprocess_venue import Start


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they take on this machine, to the venue all requests come at the same time."""
    monkeypatch.setattr("ibfeed_simulator.venue.pacing.time", SimpleNamespace(monotonic=lambda: 1000.0))


async def test_ten_requests_a_second_through_the_gateway(start: Start, one_moment: None) -> None:
    stand = await start(penalty_seconds=60)
    session = await stand.log_in()
    session.headers["User-Agent"] = "ClientPortalGW/1"
    statuses = [(await session.post("/iserver/auth/status"))[0] for _ in range(11)]
    assert statuses == [200] * 10 + [429]


async def test_a_429_silences_the_address_and_with_it_the_others_behind_it(start: Start, one_moment: None) -> None:
    stand = await start(penalty_seconds=60)
    other = await stand.log_in("paper2")
    session = await stand.log_in()
    while (await session.post("/tickle"))[0] != 429:
        pass
    assert (await other.post("/tickle"))[0] == 429
    await stand.fault("forgive")
    assert (await other.post("/tickle"))[0] == 200


def test_the_penalty_ends() -> None:
    pacing = Pacing(penalty_seconds=0)
    pacing.penalise("10.0.0.1")
    assert not pacing.penalised("10.0.0.1")
    pacing.penalise("10.0.0.1", 60)
    assert pacing.penalised("10.0.0.1")
    assert not pacing.penalised("10.0.0.2")


@pytest.mark.parametrize("path", ["/iserver/account/trades", "/iserver/account/orders", "/portfolio/subaccounts"])
async def test_single_endpoints_have_limits_of_their_own(start: Start, one_moment: None, path: str) -> None:
    session = await (await (await start(penalty_seconds=60)).log_in()).open()
    statuses = [(await session.get(path))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [429]


async def test_a_trailing_slash_is_no_way_round_a_limit(start: Start, one_moment: None) -> None:
    session = await (await (await start(penalty_seconds=60)).log_in()).open()
    for path in ("/iserver/account/trades", "/iserver/account/trades/") * 2:
        assert (await session.get(path))[0] == 200
    await session.get("/iserver/account/trades/")
    assert (await session.get("/iserver/account/trades"))[0] == 429
