"""The websocket, frame by frame."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.inprocess_venue import DIRECT, Socket, Start

ALWAYS = {"server_id", "conidEx", "conid", "_updated", "6119", "topic"}


async def test_the_greeting_in_its_order(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    socket = Socket(await session.client.ws_connect("/v1/api/ws", headers=session.headers))
    frames = [await socket.frame() for _ in range(3)]
    assert [frame["topic"] for frame in frames] == ["system", "act", "sts"]
    assert frames[0] == {"topic": "system", "success": "paper1", "isFT": False, "isPaper": True}
    assert frames[2]["args"]["authenticated"] is True


async def test_without_a_session_it_waits_for_one(start: Start) -> None:
    stand = await start()
    socket = Socket(await stand.client.ws_connect("/v1/api/ws", headers=DIRECT))
    assert await socket.frame() == {"message": "waiting for session"}
    session = await (await stand.log_in()).open()
    _, tickle = await session.post("/tickle")
    await socket.send(json.dumps({"session": tickle["session"]}))
    assert (await socket.frame())["topic"] == "system"


async def test_the_cookie_of_a_client_without_a_gateway(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    _, tickle = await session.post("/tickle")
    cookie = f'api={{"session":"{tickle["session"]}"}}'
    socket = Socket(await stand.client.ws_connect("/v1/api/ws", headers={**DIRECT, "Cookie": cookie}))
    assert (await socket.frame())["topic"] == "system"


async def test_tic_is_answered_four_times_and_nonsense_with_an_error(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    socket = await session.socket()
    await socket.send("tic")
    replies = [await socket.frame() for _ in range(4)]
    assert all(reply == replies[0] for reply in replies)
    assert (replies[0]["topic"], replies[0]["alive"]) == ("tic", True)
    await socket.send("foo+bar")
    assert await socket.frame() == {"error": "Topic unknown foo+bar", "code": 1}


async def test_first_everything_then_only_what_changed(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    shown = await socket.subscribe(conid, "31", "84", "85", "86", "87", "88", "7059", "7697")
    assert set(shown) == ALWAYS | {"31", "84", "85", "86", "87", "87_raw", "88", "7059", "7697", "6509"}
    updated = shown["_updated"]
    for _ in range(15):
        frame = await socket.until(f"smd+{conid}")
        if "conid" not in frame:
            continue
        assert set(frame) >= ALWAYS
        changed = {key: value for key, value in frame.items() if key not in ALWAYS | {"6509", "87"}}
        assert changed
        assert all(shown[key] != value for key, value in changed.items())
        assert frame["_updated"] > updated
        updated = frame["_updated"]
        shown |= frame


async def test_a_renewal_repeats_the_last_updated_in_a_full_frame(start: Start) -> None:
    stand = await start(interval=30)
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    first = await socket.subscribe(conid, "31")
    again = await socket.subscribe(conid, "84")
    assert again["_updated"] == first["_updated"]
    assert set(again) == ALWAYS | {"31", "84", "6509"}  # a renewal adds fields
    lines = await stand.truth(conid=str(conid))
    assert [(line["kind"], line["duplicate"]) for line in lines] == [("full", False), ("renewal", True)]


async def test_umd_is_silence_without_a_word(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    await socket.subscribe(conid)
    await socket.send(f"umd+{conid}+{{}}")
    await asyncio.sleep(0.1)
    while not await socket.silent(0.5):
        pass


async def test_subscriptions_expire_in_silence_and_renewing_keeps_them(start: Start) -> None:
    stand = await start(subscription_seconds=10)
    session = await (await stand.log_in()).open()
    dies, lives = await session.conid("CL"), await session.conid("NG")
    socket = await session.socket()
    await socket.subscribe(dies)
    (connection,) = stand.venue.streamer.of("paper1")
    for _ in range(3):
        await socket.subscribe(lives)
        stand.venue.clock.set(stand.venue.clock.now() + 4)  # not by the control API: subscriptions age, too
    async with asyncio.timeout(20):
        while dies in connection.subscriptions:
            assert "error" not in await socket.frame()
    assert list(connection.subscriptions) == [lives]
    assert stand.venue.streamer.lines_used("paper1") == 1


@pytest.mark.parametrize(("setting", "answers"), [("silence", False), ("error", True)])
async def test_the_line_limit_is_shared_by_all_websockets_of_a_user(start: Start, setting: str, answers: bool) -> None:
    stand = await start(lines=2, over_limit=setting, interval=30)
    session = await (await stand.log_in()).open()
    first, second = await session.socket(), await session.socket()
    await first.subscribe(await session.conid("CL", 0))
    await second.subscribe(await session.conid("CL", 1))
    third = await session.conid("CL", 2)
    await second.send(f'smd+{third}+{{"fields":["31"]}}')
    if answers:
        assert "error" in await second.frame()
    else:
        assert await second.silent(0.3)
    await first.send(f"umd+{await session.conid('CL', 0)}+{{}}")
    assert await second.subscribe(third)


async def test_one_ladder_for_an_account_rows_first_all_then_changed(start: Start) -> None:
    session = await (await (await start(over_limit="error")).log_in()).open()
    _, accounts = await session.get("/iserver/accounts")
    account, conid = accounts["selectedAccount"], await session.conid()
    socket, other = await session.socket(), await session.socket()
    await socket.send(f"sbd+{account}+{conid}+NYMEX")
    topic = f"sbd+{account}+{conid}+NYMEX"
    full = await socket.until(topic)
    assert [row["row"] for row in full["data"]] == list(range(20))
    assert any("bid" in row for row in full["data"])
    later = await socket.until(topic)
    assert 0 < len(later["data"]) <= 20
    await other.send(f"sbd+{account}+{await session.conid('CL', 1)}")
    assert "error" in await other.frame()
    await socket.send(f"ubd+{account}")
    await asyncio.sleep(0.1)
    await other.send(f"sbd+{account}+{await session.conid('CL', 1)}")
    assert "data" in await other.frame()


async def test_bad_commands_are_answered_and_do_no_harm(start: Start) -> None:
    session = await (await (await start()).log_in()).open()
    socket = await session.socket()
    for command in ("smd+x+{}", "smd+12", "smd+1+{", 'smd+1+{"fields":3}', "sbd+DU0+1", "sbd+", "smh+x", "smd+"):
        await socket.send(command)
        assert "error" in await socket.frame(), command
    assert await socket.subscribe(await session.conid())


async def frames_of(socket: Socket, conid: int, seconds: float) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            frame = await socket.frame(left)
        except TimeoutError:
            break
        if frame.get("conid") == conid:
            found.append(frame)
    return found


async def test_common_mode_shows_everybody_the_same(start: Start) -> None:
    stand = await start()
    one, two = await (await stand.log_in("paper1")).open(), await (await stand.log_in("paper2")).open()
    conid = await one.conid()
    first, second = await one.socket(), await two.socket()
    await first.subscribe(conid)
    await second.subscribe(conid)
    right = [await second.until(f"smd+{conid}") for _ in range(8)]
    left = [await first.until(f"smd+{conid}")]
    while left[-1]["_updated"] < right[-1]["_updated"]:
        left.append(await first.until(f"smd+{conid}"))
    assert [frame for frame in left if frame["_updated"] >= right[0]["_updated"]] == right


async def test_phased_mode_conflates_each_session_at_most_twice_a_second(start: Start) -> None:
    stand = await start(mode="phased", interval=0.05)
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    await socket.subscribe(conid)
    frames = await frames_of(socket, conid, 2.2)
    assert 3 <= len(frames) <= 5
    assert len({frame["_updated"] for frame in frames}) == len(frames)


@pytest.mark.parametrize("mode", ["common", "phased"])
async def test_the_ground_truth_is_what_arrived(start: Start, mode: str) -> None:
    stand = await start(mode=mode)
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    received = [await socket.subscribe(conid)]
    received += await frames_of(socket, conid, 2)
    await socket.send(f"umd+{conid}+{{}}")
    received += await frames_of(socket, conid, 0.5)
    lines = await stand.truth(since="1", conid=str(conid))
    sent = [line for line in lines if line["kind"] != "bare"]
    assert [line["frame"] for line in sent] == received
    assert {line["username"] for line in sent} == {"paper1"}
    assert [line["updated"] for line in sent] == [frame["_updated"] for frame in received]
    assert await stand.truth(username="paper2") == []
    assert await stand.truth(since=str(stand.venue.truth.next)) == []


async def test_heartbeats_come_by_themselves(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibfeed_simulator.venue.streamer.HEARTBEAT", 0.2)
    session = await (await (await start()).log_in()).open()
    socket = await session.socket()
    beats = [(await socket.until("system"))["hb"] for _ in range(3)]
    assert beats == sorted(beats)
    assert beats[0] > 1_700_000_000_000


async def test_websocket_faults(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    conid = await session.conid()
    socket = await session.socket()
    await socket.subscribe(conid)
    await stand.fault("silent_feed", username="paper1")
    while not await socket.silent(0.5):
        pass
    async with stand.control.delete("/control/faults/silent_feed") as answer:
        assert answer.status == 200
    assert await socket.until(f"smd+{conid}")
    await stand.fault("halted", username="paper1")
    await stand.fault("delayed", username="paper1", value="DpB")
    frame = await socket.subscribe(conid, "31")
    while "6509" not in frame:  # a delta may have been under way
        frame = await socket.until(f"smd+{conid}")
    assert frame["6509"] == "DpB"
    assert frame["31"].startswith("H")
    await stand.fault("garbage_frame")
    with pytest.raises(json.JSONDecodeError):
        while True:
            await socket.frame()
    assert (await stand.fault("drop_websocket", username="paper1"))["met"] == 1
    while (message := await socket.raw.receive(3)).data != 1001:
        assert message.type.name == "TEXT"


async def test_the_end_of_a_session_closes_its_websocket(start: Start) -> None:
    stand = await start()
    session = await (await stand.log_in()).open()
    socket = await session.socket()
    await stand.fault("expire_sso", username="paper1")
    assert (await socket.raw.receive(3)).data == 1001
    assert (await session.post("/tickle"))[0] == 401
