"""REST calls about the session, in the forms that clients written for IB compare with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from support.inprocess_venue import DIRECT, Start


async def raw(session: Any, path: str) -> bytes:
    async with session.client.post(path, headers={**session.headers, "Content-Length": "0"}) as answer:
        body: bytes = await answer.read()
        return body


async def test_without_a_login_there_is_an_empty_401(start: Start) -> None:
    stand = await start()
    async with stand.client.post("/v1/api/tickle", json={}, headers=DIRECT) as answer:
        assert (answer.status, await answer.read()) == (401, b"")


async def test_a_post_without_length_gets_411(start: Start) -> None:
    session = await (await start()).log_in()
    head = f"POST /v1/api/tickle HTTP/1.1\r\nHost: venue\r\nCookie: {session.headers['Cookie']}\r\n\r\n"
    reader, writer = await asyncio.open_connection(session.client.host, session.client.port)
    writer.write(head.encode())
    assert b" 411 " in await reader.readline()
    writer.close()


async def test_tickle_before_and_after_the_brokerage_session(start: Start) -> None:
    session = await (await start()).log_in()
    _, before = await session.post("/tickle")
    assert before["iserver"]["authStatus"]["connected"] is False
    assert "serverInfo" not in before["iserver"]["authStatus"]
    await session.open()
    _, after = await session.post("/tickle")
    assert set(after) == {"session", "ssoExpires", "collission", "userId", "hmds", "iserver"}
    assert after["session"] == before["session"]
    status = after["iserver"]["authStatus"]
    assert (status["authenticated"], status["competing"], status["connected"]) == (True, False, True)
    assert 0 < after["ssoExpires"] <= 86_400_000


@pytest.mark.parametrize("prefix", ["/v1/api", "/v1/portal"])
async def test_the_old_prefix_is_an_alias(start: Start, prefix: str) -> None:
    session = await (await (await start()).log_in()).open()
    async with session.client.get(f"{prefix}/iserver/accounts", headers=session.headers) as answer:
        document = await answer.json()
    assert document["isPaper"] is True
    assert document["selectedAccount"].startswith("DU")


async def test_tickle_in_its_other_forms(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.fault("no_session", username="paper1", count=1)
    assert await raw(session, "/v1/api/tickle") == b'{"error":"no session"}'
    for status in (401, 500, 503):
        await stand.fault(f"tickle_{status}", username="paper1", count=1)
        assert (await session.post("/tickle"))[0] == status
    assert (await session.post("/tickle"))[0] == 200


async def test_logout_says_exactly_what_clients_compare_with(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    assert await raw(session, "/v1/api/logout") == b'{"status":true}'
    assert (await session.post("/tickle"))[0] == 401
    assert stand.venue.sessions.record("paper1").logouts == 1


async def test_publish_must_be_true(start: Start) -> None:
    session = await (await start()).log_in()
    assert (await session.post("/iserver/auth/ssodh/init", {"compete": True}))[0] == 500
    assert (await session.post("/iserver/auth/ssodh/init", {"publish": True, "compete": False}))[0] == 200


async def test_one_brokerage_session_per_username(start: Start) -> None:
    stand = await start()
    first = await (await stand.log_in()).open()
    socket = await first.socket()
    second = await stand.log_in()
    _, refused = await second.post("/iserver/auth/ssodh/init", {"publish": True, "compete": False})
    assert (refused["authenticated"], refused["competing"], refused["connected"]) == (False, True, True)
    await second.open()
    assert (await socket.until("sts"))["args"] == {"competing": True}
    assert (await socket.until("sts"))["args"] == {"authenticated": False}
    _, lost = await first.post("/iserver/auth/status")
    assert (lost["authenticated"], lost["competing"], lost["connected"]) == (False, True, True)
    assert (await (await stand.log_in("paper2")).open()).username == "paper2"


async def test_the_phone_takes_the_session(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    assert (await stand.fault("compete", username="paper1"))["met"] == 1
    _, status = await session.post("/iserver/auth/status")
    assert (status["authenticated"], status["competing"]) == (False, True)
    _, refused = await session.post("/iserver/auth/ssodh/init", {"publish": True, "compete": False})
    assert refused["authenticated"] is False
    await session.open()


async def test_without_brokerage_session_there_is_no_bridge(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    await stand.fault("expire_brokerage", username="paper1")
    assert await session.get("/iserver/accounts") == (400, {"error": "Bad Request: no bridge", "statusCode": 400})
    _, status = await session.post("/iserver/auth/status")
    assert (status["connected"], status["authenticated"], status["competing"]) == (True, False, False)
    assert (await session.get("/trsrv/futures", symbols="CL"))[0] == 200


async def test_validate(start: Start) -> None:
    session = await (await start()).log_in()
    _, answer = await session.get("/sso/validate")
    assert (answer["RESULT"], answer["LOGIN_TYPE"], answer["USER_NAME"]) == (True, 2, "paper1")


async def test_faults_of_every_call(start: Start) -> None:
    stand = await start()
    session = await stand.log_in()
    await stand.fault("maintenance", count=1)
    assert (await session.post("/tickle"))[0] == 503
    await stand.fault("unauthorized", username="paper1", count=1)
    assert (await session.post("/tickle"))[0] == 401
    await stand.fault("kill_gateway", username="paper1", count=1)
    async with session.client.get("/v1/api/iserver/accounts", headers=session.headers) as answer:
        assert answer.headers["X-Simulator-Fault"] == "exit"
    await stand.fault("garbage_rest", username="paper1", count=1)
    async with session.client.get("/v1/api/iserver/accounts", headers=session.headers) as answer:
        assert len(await answer.read()) == 200


async def test_idle_brokerage_sessions_end_and_old_logins_too(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    sessions, now = stand.venue.sessions, stand.venue.clock.now()
    sessions.sweep(now + 361)
    assert not sessions.of("paper1")[0].authenticated
    sessions.sweep(now + 86_401)
    assert (await session.post("/tickle"))[0] == 401
